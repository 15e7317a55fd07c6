"""falconws: a hub with the default policy and history. FANOUT_HUB_URL is the URL of the broker.

It says which of several workers a client has reached: in the handshake of /sub, and on GET /worker.
"""

import os

from falcon.asgi import Response

import falconws

hub = falconws.Hub(os.environ.get("FANOUT_HUB_URL", "memory://"))


class Echo:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)


class Subscriber:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept(headers={"X-Worker": str(os.getpid())})
        async with hub.subscribe(ws, "room"):
            await ws.wait_disconnected()


class Publisher:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await hub.publish("room", text)


class Worker:
    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        resp.text = str(os.getpid())


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "*"
app.add_route("/echo", Echo())
app.add_route("/sub", Subscriber())
app.add_route("/pub", Publisher())
app.add_route("/worker", Worker())
