"""The request class of a falconws application: Falcon's, with the lifespan state. Knows nothing of WebSockets."""

from __future__ import annotations

from typing import Any

import falcon.asgi

__all__ = ("Request",)


class Request(falcon.asgi.Request):
    """Falcon's request, with the state that was set at start-up."""

    __slots__ = ()

    @property
    def state(self) -> dict[str, Any]:
        """A shallow copy of what ``process_startup(scope, event)`` put into ``scope["state"]``.

        An empty dict on servers that do not run the lifespan, or do not keep its state.

        Source: ASGI "Lifespan State".
        """
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state
