"""Receives and sends on one connection at the same time."""

import asyncio

import falconws


# start: scope
class ChatResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        lines: asyncio.Queue[str] = asyncio.Queue(maxsize=16)
        async with ws.task_scope() as scope:
            scope.create_task(self._receive(ws, lines))
            scope.create_task(self._send(ws, lines))

    async def _receive(self, ws: falconws.WebSocket, lines: asyncio.Queue[str]) -> None:
        async for line in ws.iter_text():
            await lines.put(line)

    async def _send(self, ws: falconws.WebSocket, lines: asyncio.Queue[str]) -> None:
        while True:
            await ws.send_text(f"you said: {await lines.get()}")
            # end: scope


# start: answers
class WordCountResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for request in ws:
            await ws.send_media({"id": request["id"], "words": len(request["text"].split())})
            # end: answers


# start: timeout
class IdleTimeoutResource:
    def __init__(self, idle_s: float = 30.0) -> None:
        self._idle_s = idle_s

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        while True:
            try:
                text = await ws.receive_text(timeout=self._idle_s)
            except TimeoutError:
                await ws.close(4408, "Idle timeout")
                return
            except falconws.WebSocketDisconnected:
                return
            await ws.send_text(text)
            # end: timeout


app = falconws.App()
app.add_route("/chat", ChatResource())
app.add_route("/words", WordCountResource())
app.add_route("/idle", IdleTimeoutResource(idle_s=0.05))
