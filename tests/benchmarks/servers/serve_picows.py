"""picows' own server with its async API, without compression."""

import json
import sys

import uvloop
from picows.websockets import ServerConnection, serve
from picows.websockets.exceptions import ConnectionClosed


async def answer(ws: ServerConnection) -> None:
    parses = ws.request is not None and ws.request.path == "/media"
    try:
        async for message in ws:
            await ws.send(json.dumps(json.loads(message)) if parses else message)
    except ConnectionClosed:
        pass


async def main(port: int) -> None:
    async with serve(answer, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
