"""A client of a typed room that knows nothing but the wire format."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

DECLARED_CODES = {4001}
FINAL_CODES = {1000, 1002, 1003, 1007, 1008, 1009, 1010, 4403, *range(3000, 4000), *DECLARED_CODES} - {3429, 3503}


# start: client
async def follow(url: str, name: str, handle: Callable[[dict[str, Any]], None]) -> None:
    """Pass each message of the room to *handle*; reconnect until the server closes for good."""
    position, attempts = None, 0
    while True:
        query = {"name": name} if position is None else {"name": name, "since": position}
        try:
            async with connect(f"{url}?{urlencode(query)}") as ws:
                attempts = 0
                async for payload in ws:
                    message = json.loads(payload)
                    position = message.get("position", position)
                    handle(message)
                code = ws.close_code
        except (ConnectionClosed, InvalidHandshake, OSError) as error:
            code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd else None
        if code in FINAL_CODES:
            return
        await asyncio.sleep(random.random() * min(15, 0.5 * 2**attempts))
        attempts += 1
        # end: client
