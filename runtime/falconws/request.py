"""The request that opens a connection."""

from __future__ import annotations

from typing import Any

import falcon.asgi

__all__ = ("Request",)


class Request(falcon.asgi.Request):
    """Falcon's request, with the state that the lifespan of the ASGI server left behind."""

    __slots__ = ()

    @property
    def state(self) -> dict[str, Any]:
        """What ``process_startup(scope, event)`` put into ``scope["state"]``, as a shallow copy of its own.

        An empty dict on servers that do not keep state (and have not run the lifespan).

        Source: ASGI "Lifespan State".
        """
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state
