"""The app's hub reaches all clients of one process, in memory: tests need no broker, and say nothing of one.

Whether the broker of the settings can be reached is what ``/readyz`` says where the service runs.
"""

import falconws
from falconws.testing import Client


class RoomResource:
    """Sends what each client says to all of them."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        hub: falconws.Hub = req.context.hub
        await ws.accept()
        async with hub.subscribe(ws, "room"):
            await ws.send_text("Welcome")
            async for text in ws.iter_text():
                await hub.publish("room", text)


async def test_what_one_client_says_reaches_all(app: falconws.App, client: Client) -> None:
    app.add_route("/room", RoomResource())
    async with client.websocket("/room") as ada, client.websocket("/room") as bob:
        for ws in (ada, bob):
            assert await ws.receive_text() == "Welcome"
        await ada.send_text("hello")
        for ws in (ada, bob):
            assert await ws.receive_text() == "hello"
