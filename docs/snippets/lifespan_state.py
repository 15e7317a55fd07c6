"""State that is created once at start-up and shared by all requests."""

from typing import Any

import falconws


# start: state
class Database:
    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        scope["state"]["greeting"] = "hello"


class GreetingResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        await ws.send_text(req.state["greeting"])


app = falconws.App(middleware=Database())
# end: state
app.add_route("/greeting", GreetingResource())
