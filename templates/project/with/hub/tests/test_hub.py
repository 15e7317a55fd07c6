"""The app's hub, in memory: the tests need no broker, and do not test one.

In production, ``/readyz`` reports whether the broker can be reached.
"""

import falconws
from falconws.testing import Client


class RoomResource:
    """Broadcasts each message to all clients."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        hub: falconws.Hub = req.context.hub
        await ws.accept()
        async with hub.subscribe(ws, "room"):
            await ws.send_text("Welcome")
            async for text in ws.iter_text():
                await hub.publish("room", text)


async def test_a_message_is_broadcast_to_all_clients(app: falconws.App, client: Client) -> None:
    app.add_route("/room", RoomResource())
    async with client.websocket("/room") as ada, client.websocket("/room") as bob:
        for ws in (ada, bob):
            assert await ws.receive_text() == "Welcome"
        await ada.send_text("hello")
        for ws in (ada, bob):
            assert await ws.receive_text() == "hello"
