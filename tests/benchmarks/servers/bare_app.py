"""A bare ASGI function: the cost of a server without a framework."""

import json
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo text on /echo, and parsed JSON on /media."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "websocket"
    parses = scope["path"] == "/media"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        text = event["text"]
        await send({"type": "websocket.send", "text": json.dumps(json.loads(text)) if parses else text})
