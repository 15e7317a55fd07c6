"""A context of its own for each HTTP request (contextvars). Knows no parser, and nothing of WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The next base class is this one or HttpToolsProtocol, whose methods are the same.
    from uvicorn.protocols.http.h11_impl import H11Protocol as UvicornProtocol
else:
    UvicornProtocol = object


class RequestContext(UvicornProtocol):
    """A mixin for uvicorn's HTTP protocol classes: a request sees no context variables of the one before.

    asyncio calls a protocol in the context of the task that has last resumed reading, and a request that waits begins
    in the task of the one before. Both tasks are an application's, whose variables the new request would inherit.
    """

    config: Any

    def data_received(self, data: bytes) -> None:
        self.config.request_context().run(super().data_received, data)

    def on_response_complete(self) -> None:
        self.config.request_context().run(super().on_response_complete)
