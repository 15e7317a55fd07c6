"""The application of the example tests."""

import falconws


class EchoResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept(subprotocol="echo" if "echo" in ws.subprotocols else None)
        async for text in ws.iter_text():
            if text == "bye":
                await ws.close(4000, "Goodbye")
                return
            await ws.send_text(text)


def create_app() -> falconws.App:
    """Return a new application."""
    app = falconws.App()
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/echo", EchoResource())
    return app
