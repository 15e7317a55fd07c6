import os

import falcon.asgi
import falconws

hub = falconws.Hub(
    os.environ.get("DEMO_HUB_URL", "memory://"),
    history=falconws.HistoryLimits(messages=500, age_s=600),
)


class RoomResource:
    async def on_post(self, req: falconws.Request, resp: falcon.asgi.Response, room: str) -> None:
        position = await hub.publish(room, await req.get_media())
        resp.media = {"position": str(position)}

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        since = req.get_param("since")
        await ws.accept()
        async with hub.subscribe(ws, room, since=falconws.Position.parse(since) if since else None) as subscription:
            await ws.send_media({"position": str(subscription.position), "reload": subscription.gap})
            async for message in ws.iter_text():
                await hub.publish(room, message)


app = falconws.App(middleware=[hub])
app.add_route("/rooms/{room}", RoomResource())
