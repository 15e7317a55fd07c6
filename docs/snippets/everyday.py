"""A chat: its history, who is typing, and how a user is disconnected."""

from typing import Any

import falcon
import falconws
from falconws import HistoryLimits


# start: encode
def encode(event: falconws.Event) -> object:
    match event:
        case falconws.Message():
            return {"type": "message", "data": event.media, "position": str(event.position)}
        case falconws.Ephemeral():
            return {"type": "typing", "who": event.media["who"]}
        case falconws.Gap():
            return {"type": "reload"}
        case _:
            return None
    # end: encode


class ChatResource:
    # start: history
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        hub: falconws.Hub = req.context.hub
        who = req.get_param("who", required=True)
        since = req.get_param("since")
        position = None if since is None else falconws.Position.parse(since)
        await ws.accept()
        async with hub.subscribe(
            ws, f"chat:{room}", since=position, history=20, member=who, encode=encode
        ) as subscription:
            topic = await load_topic(room)
            await ws.send_media({"type": "welcome", "topic": topic})
            # end: history
            # start: typing
            async for data in ws:
                if data == "typing":
                    await hub.publish(f"chat:{room}", {"who": who}, keep=False, exclude=subscription)
                else:
                    await hub.publish(f"chat:{room}", {"who": who, "text": data})
                    # end: typing

    # start: paging
    async def on_get(self, req: falconws.Request, resp: falcon.asgi.Response, room: str) -> None:
        hub: falconws.Hub = req.context.hub
        before = req.get_param("before")
        position = None if before is None else falconws.Position.parse(before)
        messages = await hub.history(f"chat:{room}", limit=50, before=position)
        resp.media = [encode(message) for message in messages]
        # end: paging

    # start: disconnect
    async def on_delete_user(self, req: falconws.Request, resp: falcon.asgi.Response, room: str, who: str) -> None:
        hub: falconws.Hub = req.context.hub
        ended = await hub.disconnect(member=who, room=f"chat:{room}", reason="removed by a moderator")
        resp.media = {"connections": ended}
        # end: disconnect


async def load_topic(room: str) -> str:
    return f"All about {room}"


# start: prices
class PricesResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        hub: falconws.Hub = req.context.hubs["prices"]
        await ws.accept()
        async with hub.subscribe(ws, "prices", latest=True, policy=falconws.Policy.conflate()):
            await ws.wait_disconnected()


async def set_price(hub: falconws.Hub, symbol: str, price: float) -> None:
    await hub.publish("prices", {"symbol": symbol, "price": price}, key=symbol)
    # end: prices


# start: direct
class InboxResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        hub: falconws.Hub = req.context.hub
        user: str = req.context.user
        await ws.accept()
        async with hub.subscribe(ws, room, f"user:{user}"):
            async for message in ws:
                match message:
                    case {"to": str(other), "text": text}:
                        await hub.publish(f"user:{other}", {"from": user, "text": text})
                    case {"text": text}:
                        await hub.publish(room, {"from": user, "text": text})
                        # end: direct


# start: hubs
chat = falconws.Hub(history={"chat:*": HistoryLimits(messages=500, age_s=86_400), "*": HistoryLimits()})
prices = falconws.Hub(name="prices")
app = falconws.App(middleware=[chat, prices])
# end: hubs
app.ws_options.allowed_origins = "same-origin"
app.add_route("/rooms/{room}", ChatResource())
app.add_route("/rooms/{room}/users/{who}", ChatResource(), suffix="user")
app.add_route("/prices", PricesResource())
app.add_route("/inbox/{room}", InboxResource())


async def import_prices(rows: list[dict[str, Any]]) -> None:
    # start: many
    await prices.publish_many("prices", rows, key=lambda row: row["symbol"])
    # end: many
