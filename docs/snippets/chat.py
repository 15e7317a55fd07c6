import falconws

hub = falconws.Hub()


class ChatResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room: str) -> None:
        await ws.accept()
        async with hub.subscribe(ws, room):
            async for text in ws.iter_text():
                await hub.publish(room, text)


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/chat/{room}", ChatResource())
