"""An error handler that chooses the close code."""

from typing import Any

import falconws
from falcon.asgi import Response


class QuotaExceededError(Exception):
    """The client has used up its quota."""


# start: handler
async def close_on_quota(
    req: falconws.Request,
    resp: Response | None,
    error: QuotaExceededError,
    params: dict[str, Any],
    ws: falconws.WebSocket | None = None,
) -> None:
    if ws is not None:
        await ws.close(4429, "Quota exceeded")
        # end: handler


class CountingResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        await ws.receive_text()
        raise QuotaExceededError


app = falconws.App()
# start: register
app.add_error_handler(QuotaExceededError, close_on_quota)
# end: register
app.add_route("/count", CountingResource())
