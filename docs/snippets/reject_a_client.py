"""Several ways to refuse a client."""

import falcon
import falconws


class BareRefusal:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        # start: close
        if req.get_header("X-Invitation") is None:
            await ws.close()
            return
        await ws.accept()
        # end: close


class ErrorRefusal:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        # start: error
        if req.get_header("Authorization") is None:
            raise falcon.HTTPUnauthorized(description="A token is needed.", challenges=["Bearer"])
        await ws.accept()
        # end: error


class ExplicitRefusal:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        # start: deny
        await ws.deny(503, headers={"Retry-After": "30"}, media={"error": "The queue is full."})
        # end: deny


class SubprotocolRefusal:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        # start: subprotocol
        if "wamp" not in ws.subprotocols:
            raise falcon.HTTPBadRequest(description='Offer the subprotocol "wamp".')
        await ws.accept(subprotocol="wamp")
        # end: subprotocol


class LateRefusal:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        # start: late
        await ws.accept()
        if await ws.receive_text(timeout=10) != "password":
            await ws.close(4401, "Wrong password")
            return
        await ws.send_text("Welcome")
        # end: late


# start: middleware
class TokenMiddleware:
    async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        if req.get_header("Authorization") != "Bearer secret":
            raise falcon.HTTPUnauthorized(challenges=["Bearer"])


guarded_app = falconws.App(middleware=TokenMiddleware())
# end: middleware

guarded_app.add_route("/bare", BareRefusal())

app = falconws.App()
# start: origins
app.ws_options.allowed_origins = ["https://example.com", "https://*.example.com"]
# end: origins
app.add_route("/bare", BareRefusal())
app.add_route("/error", ErrorRefusal())
app.add_route("/deny", ExplicitRefusal())
app.add_route("/subprotocol", SubprotocolRefusal())
app.add_route("/late", LateRefusal())
