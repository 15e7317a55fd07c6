"""/session: signs a browser in."""

import falconws
from falcon.asgi import Response

from demo.middleware.auth import COOKIE


class SessionResource:
    """Keeps the token of a browser in a cookie, which it also sends with WebSocket handshakes."""

    async def on_post(self, req: falconws.Request, resp: Response) -> None:
        """Remember the token that the middleware has checked, and respond with its name."""
        _, _, token = (req.auth or "").partition(" ")
        if token:
            resp.set_cookie(
                COOKIE,
                token,
                http_only=True,
                secure=req.forwarded_scheme == "https",
                same_site="Strict",
            )
        resp.media = {"name": req.context.user}
