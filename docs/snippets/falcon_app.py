import falcon
import falcon.asgi


class EchoResource:
    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        try:
            await ws.accept()
            while True:
                await ws.send_text(await ws.receive_text())
        except falcon.WebSocketDisconnected:
            return


app = falcon.asgi.App()
app.add_route("/echo", EchoResource())
