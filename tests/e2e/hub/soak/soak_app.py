"""The service under load: rooms with every policy, and what it has counted."""

import asyncio
import dataclasses
import gc
import os
import sys

import falcon

import falconws
from falconws import HistoryLimits, Policy

hub = falconws.Hub(os.environ["HUB_URL"], history=HistoryLimits(messages=300), timeout_s=30, lease_s=5)

POLICIES = {
    "disconnect": Policy.disconnect(max_lag_s=1.0),
    "drop_oldest": Policy.drop_oldest(max_messages=20),
    "conflate": Policy.conflate(),
}


def encode(event: falconws.Event) -> dict[str, object] | None:
    match event:
        case falconws.Message():
            return {"text": event.payload, "position": str(event.position)}
        case falconws.Gap():
            return {"gap": event.reason, "position": str(event.position)}
    return None


class Room:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = req.get_param("since")
        policy = POLICIES[req.get_param("policy", required=True)]
        await ws.accept()
        if req.get_param_as_bool("slow") and ws.connection is not None:
            # What the kernel buffers does not wait in the hub.
            ws.connection.limit_buffering(4096)
        async with hub.subscribe(
            ws,
            room,
            policy=policy,
            since=falconws.Position.parse(since) if since else None,
            member=req.get_param("member", required=True),
            encode=encode,
        ) as subscription:
            await ws.send_media({"position": str(subscription.position), "gapped": subscription.gap})
            async for _ in ws:
                while subscription.lag_s:
                    await asyncio.sleep(0.01)
                await ws.send_media({"dropped": subscription.dropped[room]})


class Counts:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        gc.collect()
        resp.media = {**dataclasses.asdict(hub.stats), "blocks": sys.getallocatedblocks(), "pid": os.getpid()}


app = falconws.App(middleware=[hub])
app.add_route("/rooms/{room}", Room())
app.add_route("/counts", Counts())
