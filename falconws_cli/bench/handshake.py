"""The opening handshake from the client's side. Pure.

Source: RFC 6455 section 4.1.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> str:
    """Return a Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16)).decode()


def request(path: str, host: str, key: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the request that asks for a WebSocket at *path*, without extensions."""
    own = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*own, *headers)), "", ""]
    return "\r\n".join(lines).encode("latin-1")


@dataclass(frozen=True)
class Response:
    """What the server answered."""

    status: int
    phrase: str
    headers: dict[str, str]

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes; None when only the end of the connection tells."""
        value = self.headers.get("content-length", "")
        return int(value) if value.isdecimal() else None

    def accepts(self, key: str) -> bool:
        """Return whether this is a WebSocket server's answer to *key*."""
        expected = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        return self.headers.get("sec-websocket-accept") == expected


def parse_response(head: bytes) -> Response | None:
    """Return the response whose head ends with an empty line, or None when it is not HTTP/1.1."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status, _, phrase = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdecimal():
        return None
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    return Response(int(status), phrase, headers)
