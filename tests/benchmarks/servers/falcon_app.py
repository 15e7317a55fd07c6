"""Falcon's own WebSocket, as in its documentation."""

import falcon.asgi
from falcon import WebSocketDisconnected


class Echo:
    """Sends each text back."""

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        try:
            await ws.accept()
            while True:
                await ws.send_text(await ws.receive_text())
        except WebSocketDisconnected:
            pass


class Media:
    """Parses each JSON text and sends it back."""

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        try:
            await ws.accept()
            while True:
                await ws.send_media(await ws.receive_media())
        except WebSocketDisconnected:
            pass


app = falcon.asgi.App()
app.add_route("/echo", Echo())
app.add_route("/media", Media())
