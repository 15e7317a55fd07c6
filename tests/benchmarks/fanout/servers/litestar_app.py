"""Litestar's ChannelsPlugin over its memory backend, with the backlog that its documentation shows."""

from typing import Any

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect

channels = ChannelsPlugin(backend=MemoryChannelsBackend(), channels=["room"])


@websocket("/echo")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


@websocket("/sub")
async def subscribe(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    async with channels.start_subscription(["room"]) as subscriber, subscriber.run_in_background(socket.send_text):
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass


@websocket("/pub")
async def publish(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    try:
        while True:
            channels.publish(await socket.receive_text(), "room")
    except WebSocketDisconnect:
        pass


app = Litestar([echo, subscribe, publish], plugins=[channels], openapi_config=None)
