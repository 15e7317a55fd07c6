"""Falcon: a set of connections, and a loop over it."""

from typing import Any

import falcon.asgi

room: set[Any] = set()


class Echo:
    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except falcon.WebSocketDisconnected:
            pass


class Subscriber:
    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        room.add(ws)
        try:
            while True:
                await ws.receive_text()
        except falcon.WebSocketDisconnected:
            pass
        finally:
            room.discard(ws)


class Publisher:
    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            while True:
                text = await ws.receive_text()
                for subscriber in list(room):
                    try:
                        await subscriber.send_text(text)
                    except falcon.WebSocketDisconnected:
                        room.discard(subscriber)
        except falcon.WebSocketDisconnected:
            pass


app = falcon.asgi.App()
app.add_route("/echo", Echo())
app.add_route("/sub", Subscriber())
app.add_route("/pub", Publisher())
