"""/items: the items of the auction, over HTTP."""

from dataclasses import asdict

import falcon
import falconws
from falcon.asgi import Response

from demo.catalogue import Catalogue


class ItemsResource:
    """Lists the items, and adds new ones."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        """Respond with all items."""
        resp.media = {"items": [asdict(item) for item in await self._catalogue.all()]}

    async def on_post(self, req: falconws.Request, resp: Response) -> None:
        """Add ``{"title": ..., "price": ..., "minutes": ...}``, and respond with the new item."""
        match await req.get_media():
            case {"title": str(title), "price": int(price), "minutes": int(minutes)} if minutes > 0:
                item = await self._catalogue.add(title, price, minutes * 60)
            case _:
                raise falcon.HTTPBadRequest(
                    description="Send a title, a price and the minutes until the end."
                )
        resp.status = falcon.HTTP_CREATED
        resp.media = asdict(item)
