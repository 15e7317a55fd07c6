"""What is served: JSON back and forth as a generated resource does it, an echo, and the longest wait of the loop."""

import asyncio
from time import thread_time

import falcon.asgi

import falconws

_TICK_S = 0.001


class Longest:
    """The longest that the event loop computed until it came round, in seconds of its own CPU time."""

    def __init__(self) -> None:
        self.wait_s = 0.0

    async def watch(self) -> None:
        while True:
            start_s = thread_time()
            await asyncio.sleep(_TICK_S)
            self.wait_s = max(self.wait_s, thread_time() - start_s)


longest = Longest()


class Echo:
    async def on_websocket(self, req: falcon.asgi.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text(await ws.receive_text())


class Json:
    async def on_websocket(self, req: falcon.asgi.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        while True:
            request = await ws.receive_media()
            await ws.send_media({"id": request["id"], "result": request["payload"]})


class Stats:
    async def on_websocket(self, req: falcon.asgi.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        await ws.send_text(str(longest.wait_s))
        longest.wait_s = 0.0


class Watch:
    async def process_startup(self, scope: object, event: object) -> None:
        self._task = asyncio.create_task(longest.watch())

    async def process_shutdown(self, scope: object, event: object) -> None:
        self._task.cancel()


app = falconws.App(middleware=[Watch()])
app.add_route("/echo", Echo())
app.add_route("/json", Json())
app.add_route("/stats", Stats())
