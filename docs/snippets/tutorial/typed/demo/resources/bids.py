"""/items/{item_id}/bids: everybody who watches an item sees each bid."""

import falcon
import falconws
from falconws.typed import Welcome, speaks

from demo.catalogue import Catalogue
from demo.messages import Accepted, Bidder, Bidding, Price


class BidsResource:
    """Takes bids, and broadcasts each new price."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @speaks(Bidding)
    async def on_websocket(self, req: falconws.Request, bidding: Bidding, item_id: int) -> None:
        """Take the client's bids until it leaves."""
        if await self._catalogue.find(item_id) is None:
            raise falcon.HTTPNotFound(description=f"There is no item {item_id}.")
        name = bidding.read_query(Bidder).name
        hub: falconws.Hub = req.context.hub
        room = f"items/{item_id}"
        subscription = bidding.subscribe(hub, room, history=20, member=name)
        await bidding.accept()
        async with subscription:
            present = sorted(await hub.present(room))
            await bidding.send(Welcome(str(subscription.position), present))
            async for bid in bidding:
                if await self._catalogue.bid(item_id, bid.amount, name):
                    await bidding.reply(bid, Accepted(price=bid.amount))
                    await Bidding.publish(hub, room, Price(price=bid.amount, bidder=name))
                else:
                    await bidding.reject(bid, "refused")
