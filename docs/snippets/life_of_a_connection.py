"""Records each step in the life of a connection."""

from typing import Any

import falconws

steps: list[str] = []


# start: middleware
class Steps:
    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        steps.append("process_startup")

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        steps.append("process_shutdown")

    async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        steps.append(f"process_request_ws {req.path}")

    async def process_resource_ws(
        self, req: falconws.Request, ws: falconws.WebSocket, resource: object, params: dict[str, Any]
    ) -> None:
        steps.append(f"process_resource_ws {params}")
        # end: middleware


# start: responder
class RoomResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, room_id: int) -> None:
        steps.append("on_websocket")
        await ws.accept()
        steps.append("accepted")
        async for text in ws.iter_text():
            steps.append(f"received {text}")
            await ws.send_text(text)
        steps.append(f"closed {ws.close_code}")
        # end: responder


app = falconws.App(middleware=Steps())
app.add_route("/rooms/{room_id:int}", RoomResource())
