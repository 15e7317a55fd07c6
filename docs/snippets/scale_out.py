import os

import falcon.asgi
import falconws

hub = falconws.Hub(
    os.environ.get("DEMO_HUB_URL", "memory://"),
    history=falconws.HistoryLimits(messages=500, age_s=600),
)


class RoomResource:
    async def on_post(self, req: falconws.Request, resp: falcon.asgi.Response, room: str) -> None:
        media = await req.get_media()
        try:
            position = await hub.publish(room, media)
        except ValueError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        resp.media = {"position": str(position)}

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = req.get_param("since")
        try:
            subscription = hub.subscribe(ws, room, since=None if since is None else falconws.Position.parse(since))
        except ValueError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        await ws.accept()
        async with subscription:
            await ws.send_media({"position": str(subscription.position), "reload": subscription.gap})
            async for message in ws.iter_text():
                await hub.publish(room, message)


app = falconws.App(middleware=[hub])
app.add_route("/rooms/{room}", RoomResource())
