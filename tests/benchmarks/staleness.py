"""How old prices are that a slow client receives: `python -m tests.benchmarks.staleness`.

Prices of 20 symbols come at 55 kB/s; the client reads 11 kB/s, and answers the pings that it reads. Its receive buffer
is that of the kernel, or a small one, as on a slow link. The command plots the age of each price at the client over
time, for each server with `Policy.conflate()`, and writes docs/performance/staleness.svg.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import falconws
from falconws import Hub, Policy
from falconws.testing import LiveServer

OUTPUT = Path(__file__).parents[2] / "docs" / "performance" / "staleness.svg"
RECEIVE_BUFFER_BYTES = 4096
SERVERS: dict[str, tuple[str, int | None]] = {
    "falconws serve": ("falconws.server:WebSocketProtocol", None),
    "falconws serve, small buffer": ("falconws.server:WebSocketProtocol", RECEIVE_BUFFER_BYTES),
    "wsproto, small buffer": ("wsproto", RECEIVE_BUFFER_BYTES),
}
"""Each server's protocol, and the client's receive buffer; None: as the kernel has it."""
SYMBOLS = 20
MESSAGE_BYTES = 110
PUBLISHED_BYTES_S = 55_000
READ_BYTES_S = 11_000
_PING = 0x9
_STEP_S = 0.05
_COLORS = ("#0b7285", "#e8590c", "#adb5bd")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 300, 56, 60, 40

Ages = list[tuple[float, float]]
"""When a price was read, and how old it was, in seconds."""


class Prices:
    """Sends each symbol's newest price."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        async with self.hub.subscribe(ws, "prices", policy=Policy.conflate()):
            await ws.wait_disconnected()


def measure(engine: str, receive_buffer: int | None, seconds: float) -> Ages:
    """Return the ages of the prices that a slow client of *engine* reads."""
    hub = Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", Prices(hub))
    stopped = threading.Event()

    def publish() -> None:
        while not stopped.wait(SYMBOLS * MESSAGE_BYTES / PUBLISHED_BYTES_S):
            for number in range(SYMBOLS):
                text = f"[{time.monotonic():.6f}]".ljust(MESSAGE_BYTES - 4, ".")
                hub.publish_threadsafe("prices", text, key=str(number))

    with LiveServer(app, ws=engine, ws_per_message_deflate=False) as server, socket.socket() as tcp:
        if receive_buffer is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        tcp.connect(("127.0.0.1", server.port))
        tcp.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += tcp.recv(1)
        publisher = threading.Thread(target=publish)
        publisher.start()
        began = time.monotonic()
        ages: Ages = []
        received = b""
        while (now := time.monotonic()) < began + seconds:
            received += tcp.recv(int(READ_BYTES_S * _STEP_S))
            while (frame := _first_frame(received)) is not None:
                opcode, payload, size = frame
                received = received[size:]
                if opcode == _PING:
                    # With a mask of zeros.
                    tcp.sendall(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)
                elif match := re.match(rb"\[(\d+\.\d+)\]", payload):
                    ages.append((now - began, now - float(match[1])))
            time.sleep(_STEP_S)
        stopped.set()
        publisher.join()
    return ages


def _first_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """Return opcode, payload and size of the frame at the beginning of *data*; None if it is not complete."""
    if len(data) < 2:
        return None
    start, length = 2, data[1]
    if length == 126:
        start, length = 4, int.from_bytes(data[2:4], "big")
    end = start + length
    return (data[0] & 0xF, data[start:end], end) if len(data) >= end else None


def plot(series: Sequence[tuple[str, Ages]], seconds: float) -> str:
    """Return a line chart as SVG: the age of prices over time."""
    oldest = max(age for _, ages in series for _, age in ages) * 1.05
    width, height = _WIDTH - _LEFT - 16, _HEIGHT - _TOP - _BOTTOM

    def x(at: float) -> float:
        return _LEFT + at / seconds * width

    def y(age: float) -> float:
        return _TOP + height - age / oldest * height

    title = "Age of prices at a client that reads 11 of 55 kB/s"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600" fill="#212529">{title}</text>',
    ]
    for step in range(5):
        age = oldest / 4 * step
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + width}" y1="{y(age):.1f}" y2="{y(age):.1f}" stroke="#dee2e6"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(age) + 4:.1f}" text-anchor="end" fill="#495057">{age:.0f} s</text>')
    for index, (name, ages) in enumerate(series):
        color = _COLORS[index]
        line = " ".join(f"{x(at):.1f},{y(age):.1f}" for at, age in ages[:: max(1, len(ages) // 200)])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{16 + 240 * index}" y="46" font-weight="600" fill="{color}">{escape(name)}</text>')
    parts.append(
        f'<text x="{_LEFT + width}" y="{_HEIGHT - 14}" text-anchor="end" fill="#495057">{seconds:.0f} s</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def main(words: Sequence[str]) -> int:
    """Measure, write the plot, and print the greatest ages."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.staleness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(words)
    series = [(name, measure(*server, options.seconds)) for name, server in SERVERS.items()]
    options.output.write_text(plot(series, options.seconds))
    for name, ages in series:
        print(f"{name}: {max(age for _, age in ages):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
