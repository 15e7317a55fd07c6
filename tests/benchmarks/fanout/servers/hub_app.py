"""falconws: a hub with the default policy and history. FANOUT_HUB_URL is the URL of the broker.

It says which of several workers a client has reached: in the handshake of /sub, and on GET /worker.
"""

import os

from falcon.asgi import Response

import falconws

SYMBOLS = 200

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


class BatchPublisher:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        count = req.get_param_as_int("count", required=True)
        await ws.accept()
        async for text in ws.iter_text():
            await hub.publish_many("room", [text] * count)


class Ticker:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        first = req.get_param_as_int("first", required=True)
        count = req.get_param_as_int("count", required=True)
        await ws.accept()
        symbols = (f"symbol:{(first + number) % SYMBOLS:04}" for number in range(count))
        async with hub.subscribe(ws, *symbols, policy=falconws.Policy.conflate()):
            await ws.wait_disconnected()


class Feed:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await hub.publish(f"symbol:{text[:4]}", text, key=text[:4])


class Worker:
    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        resp.text = str(os.getpid())


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "*"
app.add_route("/echo", Echo())
app.add_route("/sub", Subscriber())
app.add_route("/pub", Publisher())
app.add_route("/pub-many", BatchPublisher())
app.add_route("/ticker", Ticker())
app.add_route("/feed", Feed())
app.add_route("/worker", Worker())
