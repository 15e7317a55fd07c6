"""A room: what one client says, all of them get, also those who were away for a moment."""

import falcon
import falconws


# start: encode
def encode(event: falconws.Message | falconws.Gap | falconws.Joined | falconws.Left) -> object:
    match event:
        case falconws.Message():
            return {"type": "message", "data": event.media, "position": str(event.position)}
        case falconws.Gap():
            return {"type": "reload", "position": str(event.position)}
        case falconws.Joined():
            return {"type": "joined", "who": event.member, "info": event.info}
        case falconws.Left():
            return {"type": "left", "who": event.member}
    # end: encode


# start: resource
class RoomResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = None
        if "since" in req.params:
            try:
                since = falconws.Position.parse(req.get_param("since", required=True))
            except ValueError as error:
                raise falcon.HTTPInvalidParam(str(error), "since") from None
        await ws.accept()
        async with self._hub.subscribe(
            ws, room, since=since, member=req.get_param("who"), encode=encode
        ) as subscription:
            await ws.send_media({"type": "welcome", "position": str(subscription.position)})
            async for data in ws:
                await self._hub.publish(room, {"said": data})

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        resp.media = await self._hub.present(room)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        resp.media = str(await self._hub.publish(room, {"posted": await req.get_media()}))
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
                totals["words"] += len(event.media["said"].split())
            case falconws.Gap():
                totals["gaps"] += 1
                # end: listen
