"""A room with history on first load, paging, and typing indicators."""

import falcon
import falconws
from falcon.asgi import Response

hub = falconws.Hub()


# start: encode
def encode(event: falconws.Event) -> object:
    match event:
        case falconws.Message():
            return {"type": "message", **event.media, "position": str(event.position)}
        case falconws.Ephemeral():
            return {"type": "typing", **event.media}
        case falconws.Gap():
            return {"type": "reload"}
        case _:
            return None
        # end: encode


# start: room
class RoomResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        await ws.accept()
        async with hub.subscribe(ws, room, history=20, encode=encode) as subscription:
            async for event in ws:
                match event:
                    case {"type": "typing", "who": str(who)}:
                        await hub.publish(room, {"who": who}, exclude=subscription, keep=False)
                    case {"type": "message", "text": str(text)}:
                        await hub.publish(room, {"text": text})
        # end: room

    # start: paging
    async def on_get(self, req: falconws.Request, resp: Response, room: str) -> None:
        before = req.get_param("before")
        try:
            position = None if before is None else falconws.Position.parse(before)
        except ValueError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        messages = await hub.history(room, limit=20, before=position)
        resp.media = [{**message.media, "position": str(message.position)} for message in messages]
        # end: paging


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/rooms/{room}", RoomResource())
