"""A client for the rooms of docs/snippets/fan_out.py that reconnects and resumes."""

# start: client
import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

# Codes after which a reconnect would fail again.
FINAL = {1000, 1002, 1003, 1007, 1008, 1009, 4403}
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0


async def follow(url: str, handle: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Call *handle* with each event of the room at *url*, until the server closes the connection for good."""
    position, attempts = None, 0
    while True:
        query = f"?{urlencode({'since': position})}" if position else ""
        try:
            async with connect(url + query) as ws:
                while True:
                    event = json.loads(await ws.recv())
                    position, attempts = event.get("position", position), 0
                    await handle(event)
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in FINAL:
                return
        except InvalidStatus as refused:
            if refused.response.status_code not in (429, 502, 503, 504):
                raise
        except OSError:
            pass
        await asyncio.sleep(random.random() * min(MAX_DELAY_S, FIRST_DELAY_S * 2**attempts))
        attempts += 1
        # end: client
