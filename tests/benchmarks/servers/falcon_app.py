"""Falcon's own WebSocket, as its documentation shows it."""

import falcon.asgi
from falcon import WebSocketDisconnected


class Echo:
    """Sends back each text."""

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        try:
            await ws.accept()
            while True:
                await ws.send_text(await ws.receive_text())
        except WebSocketDisconnected:
            pass


class Media:
    """Sends back what each JSON text means."""

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
