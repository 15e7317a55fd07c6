"""The same two responders as in falcon_app, as falconws generates them."""

import falconws


class Echo:
    """Sends back each text."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)


class Media:
    """Sends back what each JSON text means."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for media in ws:
            await ws.send_media(media)


app = falconws.App()
app.ws_options.allowed_origins = "*"
app.add_route("/echo", Echo())
app.add_route("/media", Media())
