"""The application of the example tests."""

import falcon
import falconws


class EchoResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept(subprotocol="echo" if "echo" in ws.subprotocols else None)
        async for text in ws.iter_text():
            if text == "bye":
                await ws.close(4000, "Goodbye")
                return
            await ws.send_text(text)


class RoomResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        if req.get_header("Authorization") != "Bearer secret":
            raise falcon.HTTPUnauthorized(challenges=["Bearer"])
        await ws.accept()
        async with self._hub.subscribe(ws, room):
            await ws.send_text("welcome")
            async for text in ws.iter_text():
                await self._hub.publish(room, text)


def create_app() -> falconws.App:
    """Return a new application."""
    hub = falconws.Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/echo", EchoResource())
    app.add_route("/rooms/{room}", RoomResource(hub))
    return app
