"""A chat room: the hub broadcasts each message, and clients resume after a reconnect."""

import asyncio
from typing import Any

import falcon
import falconws


# start: encode
def encode(event: falconws.Event) -> object:
    match event:
        case falconws.Message(payload=bytes()):
            return None  # BINARY: this client reads only JSON
        case falconws.Message():
            return {"type": "message", "data": read(event), "position": str(event.position)}
        case falconws.Ephemeral():
            return {"type": "ephemeral", "data": read(event)}
        case falconws.Gap():
            return {"type": "reload", "position": str(event.position)}
        case falconws.Joined() | falconws.Updated():
            return {"type": "present", "who": event.member, "info": event.info}
        case falconws.Left():
            return {"type": "left", "who": event.member}


def read(message: falconws.Message | falconws.Ephemeral) -> object:
    try:
        return message.media
    except ValueError:  # text that is not JSON, for example from `falconws publish 42 "We are back"`
        return message.payload
    # end: encode


# start: resource
class RoomResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = req.get_param("since")
        try:
            subscription = self._hub.subscribe(
                ws,
                room,
                since=None if since is None else falconws.Position.parse(since),
                member=req.get_param("who"),
                encode=encode,
            )
        except ValueError as error:  # an invalid position, or a name that is not 1 to 255 bytes of UTF-8
            raise falcon.HTTPBadRequest(description=str(error)) from error
        await ws.accept()
        async with subscription:
            await ws.send_media({"type": "welcome", "position": str(subscription.position)})
            async for data in ws:
                await self._hub.publish(room, {"said": data})

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        try:
            resp.media = await self._hub.present(room)
        except ValueError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        if falcon.parse_header(req.content_type or "")[0] != falcon.MEDIA_JSON:
            raise falcon.HTTPUnsupportedMediaType(description="Use application/json.")
        posted = await req.get_media()
        try:
            resp.media = str(await self._hub.publish(room, {"posted": posted}))
        except ValueError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        # end: resource


# start: app
class ReadyResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        health = await self._hub.health()
        resp.status = falcon.HTTP_200 if health.ok else falcon.HTTP_503
        resp.media = {"hub": health.detail}


hub = falconws.Hub("memory://")
app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/rooms/{room}", RoomResource(hub))
app.add_route("/ready", ReadyResource(hub))
# end: app


# start: listen
async def count_words(hub: falconws.Hub, totals: dict[str, int]) -> None:
    async for event in hub.listen("reviews"):
        match event:
            case falconws.Message():
                match read(event):
                    case {"said": str(text)}:
                        totals["words"] += len(text.split())
            case falconws.Gap():
                totals["gaps"] += 1
                # end: listen


# start: startup
class WordCount:
    """Counts the words of all reviews while the application runs."""

    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub
        self.totals = {"words": 0, "gaps": 0}

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task = falconws.create_task(self._count(), name="count words")

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task.cancel()

    async def _count(self) -> None:
        while True:
            try:
                await count_words(self._hub, self.totals)
            except falconws.BrokerUnavailable:  # the broker can start later than the service
                await asyncio.sleep(1)
                # end: startup
