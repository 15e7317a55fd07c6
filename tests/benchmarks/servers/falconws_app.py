"""The two responders of falcon_app, in the form that falconws generates."""

import falconws


class Echo:
    """Sends each text back."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)


class Media:
    """Parses each JSON text and sends it back."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for media in ws:
            await ws.send_media(media)


app = falconws.App()
app.ws_options.allowed_origins = "*"
app.add_route("/echo", Echo())
app.add_route("/media", Media())
