"""Sends a last message when the server shuts down."""

import falconws


class NewsResource:
    # start: responder
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async with ws.task_scope() as scope:
            scope.create_task(self._echo(ws))
            await ws.going_away.wait()
            await ws.send_media({"restarting": True})
            # end: responder

    async def _echo(self, ws: falconws.WebSocket) -> None:
        async for message in ws:
            await ws.send_media(message)


app = falconws.App()
app.ws_options.allowed_origins = "same-origin"
app.add_route("/news", NewsResource())
