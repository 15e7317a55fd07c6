"""Sends the events of a source to all clients, and the latest event over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import falconws
from falcon.asgi import Response


# start: source
class Prices:
    """The latest price, and a way to wait for the next one."""

    def __init__(self) -> None:
        self.latest = 0.0
        self._changed = asyncio.Condition()

    async def publish(self, price: float) -> None:
        async with self._changed:
            self.latest = price
            self._changed.notify_all()

    async def changes(self) -> AsyncIterator[float]:
        """Yield the current price, and the price after each change. A slow client skips prices."""
        while True:
            price = self.latest
            yield price
            async with self._changed:
                while self.latest == price:
                    await self._changed.wait()
                # end: source


# start: resource
class PriceResource:
    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        resp.media = {"price": self._prices.latest}

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async with ws.task_scope() as scope:
            scope.create_task(self._send_prices(ws))

    async def _send_prices(self, ws: falconws.WebSocket) -> None:
        async for price in self._prices.changes():
            await ws.send_media({"price": price})
            # end: resource


prices = Prices()
app = falconws.App()
app.add_route("/price", PriceResource(prices))
