"""A background task that continues when its client has disconnected."""

import asyncio

import falconws

delivered: asyncio.Queue[str] = asyncio.Queue()


async def deliver(order: str) -> None:
    """Deliver an order."""
    await delivered.put(order)


class OrderResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        # start: task
        async for order in ws.iter_text():
            falconws.create_task(deliver(order), name=f"deliver {order}")
            await ws.send_text("accepted")
            # end: task


app = falconws.App()
app.add_route("/orders", OrderResource())
