"""/items/{item_id}/bids: everybody who watches an item sees each bid."""

import falcon
import falconws

from demo.catalogue import Catalogue


class BidsResource:
    """Receives ``{"bid": AMOUNT}``, and broadcasts each new price."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def on_websocket(
        self, req: falconws.Request, ws: falconws.WebSocket, item_id: int
    ) -> None:
        """Take the client's bids until it leaves."""
        if await self._catalogue.find(item_id) is None:
            raise falcon.HTTPNotFound(description=f"There is no item {item_id}.")
        name = req.get_param("name", required=True)
        hub: falconws.Hub = req.context.hub
        room = f"items/{item_id}"
        await ws.accept()
        async with hub.subscribe(ws, room, history=20):
            async for media in ws:
                match media:
                    case {"bid": int(amount)}:
                        if await self._catalogue.bid(item_id, amount, name):
                            await hub.publish(room, {"price": amount, "bidder": name})
                        else:
                            await ws.send_media({"error": "The bid is too low, or too late."})
                    case _:
                        await ws.send_media({"error": 'Send {"bid": AMOUNT}.'})
