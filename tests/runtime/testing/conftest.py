"""Applications that several tests of falconws.testing talk to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import falcon
import falcon.asgi
import pytest

import falconws

Responder = Callable[[Any, Any], Awaitable[None]]


class _Resource:
    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media = {"path": req.path}

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await self._responder(req, ws)


@pytest.fixture(params=[falcon.asgi.App, falconws.App], ids=["falcon", "falconws"])
def make_app(request: pytest.FixtureRequest) -> Callable[[Responder], Any]:
    """Return a function that makes an application whose route / has the given responder."""

    def make(responder: Responder) -> Any:
        app = request.param()
        if request.param is falconws.App:
            app.ws_options.allowed_origins = "*"
        app.add_route("/", _Resource(responder))
        return app

    return make
