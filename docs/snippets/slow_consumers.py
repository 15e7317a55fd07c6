"""A policy for slow clients, and a callback for dropped messages."""

import logging

import falconws
from falconws import Policy
from falconws.hub import Dropped

logger = logging.getLogger(__name__)


# start: policies
class TickerResource:
    """Prices: only the newest price of each symbol matters."""

    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async with self._hub.subscribe(ws, "prices", policy=Policy.conflate(max_messages=500)):
            await ws.wait_disconnected()


async def set_price(hub: falconws.Hub, symbol: str, price: float) -> None:
    await hub.publish("prices", {"symbol": symbol, "price": price}, key=symbol)
    # end: policies


# start: on_drop
def on_drop(dropped: Dropped) -> None:
    logger.info("%s: %d of room %s by %s", dropped.client, dropped.count, dropped.room, dropped.policy)


hub = falconws.Hub(policy=Policy.drop_oldest(max_messages=100, max_bytes=64 * 1024), on_drop=on_drop)
# end: on_drop
app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/prices", TickerResource(hub))
