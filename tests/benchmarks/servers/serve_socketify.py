"""uWebSockets through the callbacks of socketify, which has no coroutine API."""

import json
import sys
from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode

_LIMITS = {
    "compression": CompressOptions.DISABLED,
    "max_payload_length": 1 << 20,
    "idle_timeout": 0,
    # More than the benchmark keeps in flight, because socketify drops messages above this limit.
    "max_backpressure": 1 << 24,
}


def echo(ws: Any, message: Any, opcode: OpCode) -> None:
    ws.send(message, opcode)


def media(ws: Any, message: Any, opcode: OpCode) -> None:
    ws.send(json.dumps(json.loads(message)), OpCode.TEXT)


if __name__ == "__main__":
    app = App()
    app.ws("/echo", {**_LIMITS, "message": echo})
    app.ws("/media", {**_LIMITS, "message": media})
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: None)
    app.run()
