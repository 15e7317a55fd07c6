"""The service of the tests with several workers: one room that clients follow, and come back to."""

import os

import falcon

import falconws
from falconws.hub import HistoryLimits

LEASE_S = 3.0

hub = falconws.Hub(os.environ["HUB_URL"], history=HistoryLimits(messages=100_000), lease_s=LEASE_S, timeout_s=5)


def encode(event: falconws.hub.Event) -> dict[str, object] | None:
    match event:
        case falconws.Message():
            return {"payload": event.payload, "position": str(event.position)}
        case falconws.Gap():
            return {"gap": event.reason}
    return None


def encode_all(event: falconws.hub.Event) -> dict[str, object] | None:
    """Tell who comes, too."""
    return {"joined": event.member} if isinstance(event, falconws.Joined) else encode(event)


ENCODE = {"changes": encode, "all": encode_all, "plain": None}


class Room:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        resp.media = sorted(await hub.present(room))

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = req.get_param("since")
        await ws.accept()
        async with hub.subscribe(
            ws,
            room,
            since=falconws.Position.parse(since) if since else None,
            member=req.get_param("member"),
            encode=ENCODE[req.get_param("told", default="changes")],
        ) as subscription:
            await ws.send_media({"pid": os.getpid(), "position": str(subscription.position), "gap": subscription.gap})
            async for _ in ws:
                pass


app = falconws.App(middleware=[hub])
app.add_route("/rooms/{room}", Room())
