"""The test's side of one run: WebSocket connections to the server, and the journal that its responders keep.

Every wait is bounded; nothing here sleeps for a fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from .servers import RunningServer

Note = dict[str, Any]


class MissingError(AssertionError):
    """Something that the test waits for did not happen in time."""


class RawResponse(NamedTuple):
    """An HTTP response, or the head of a completed handshake; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """A client of one server, with a run of its own in the contract app."""

    def __init__(self, server: RunningServer, patience_s: float) -> None:
        self.server = server
        self.patience_s = patience_s
        self.run = secrets.token_hex(6)
        self.notes: list[Note] = []
        self._connections: list[ClientConnection] = []

    # Connections

    def uri(self, name: str, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.server.port}/{name}/{self.run}" + (f"?{query}" if query else "")

    async def connect(self, name: str, query: str = "", **options: Any) -> ClientConnection:
        """Return an open connection to the route *name*."""
        defaults: dict[str, Any] = {
            "proxy": None,
            "compression": None,
            "ping_interval": None,
            "max_size": None,
            "open_timeout": self.patience_s,
            "close_timeout": self.patience_s,
        }
        try:
            connection = await connect(self.uri(name, query), **{**defaults, **options})
        except TimeoutError:
            raise MissingError(f"the handshake with {name} got no answer in {self.patience_s} s") from None
        self._connections.append(connection)
        return connection

    async def refused(self, name: str, query: str = "", **options: Any) -> Response:
        """Return the HTTP response that the route *name* gives instead of a connection."""
        try:
            await self.connect(name, query, **options)
        except InvalidStatus as refusal:
            return refusal.response
        raise AssertionError("the handshake was accepted")

    async def refused_raw(
        self, name: str, query: str = "", headers: Sequence[str] = (), host: str = "127.0.0.1"
    ) -> RawResponse:
        """Return the answer to a handshake, whatever it is, and hang up."""
        target = f"/{name}/{self.run}" + (f"?{query}" if query else "")
        try:
            async with asyncio.timeout(self.patience_s):
                reader, writer = await self.raw(handshake(target, *headers, host=host))
                try:
                    return await _read_response(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise MissingError(f"the handshake with {name} got no answer in {self.patience_s} s") from None

    async def receive(self, connection: ClientConnection) -> str | bytes:
        try:
            async with asyncio.timeout(self.patience_s):
                return await connection.recv()
        except TimeoutError:
            raise MissingError(f"no message came in {self.patience_s} s") from None

    async def closed(self, connection: ClientConnection) -> tuple[int, str]:
        """Return the close code and reason that the client sees, once the server has closed; drops messages."""
        try:
            async with asyncio.timeout(self.patience_s):
                while True:
                    await connection.recv()
        except ConnectionClosed:
            assert connection.close_code is not None
            return connection.close_code, connection.close_reason or ""
        except TimeoutError:
            raise MissingError(f"the server did not close in {self.patience_s} s") from None

    async def raw(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a plain TCP connection over which *data* has been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def early_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the payload of the first frame behind the response to a handshake, and hang up."""
        try:
            async with asyncio.timeout(self.patience_s):
                if (status := (await _read_response(reader)).status) != 101:
                    raise AssertionError(f"the handshake was answered with {status}")
                _, size = await reader.readexactly(2)
                return await reader.readexactly(size)
        except TimeoutError:
            raise MissingError(f"the first message got no answer in {self.patience_s} s") from None
        finally:
            writer.transport.abort()

    # The journal

    async def saw(self, event: str, **data: Any) -> Note:
        """Return the first note called *event* with these *data*, once the app has made it."""

        def matching() -> Note | None:
            for note in self.notes:
                if note["event"] == event and all(note.get(key) == value for key, value in data.items()):
                    return note
            return None

        try:
            async with asyncio.timeout(self.patience_s):
                while (found := matching()) is None:
                    await self._fetch(self.patience_s)
        except TimeoutError:
            wanted = f"{event!r} {data}" if data else repr(event)
            raise MissingError(f"the app did not note {wanted} in {self.patience_s} s, but {self.notes}") from None
        return found

    async def left(self) -> Note:
        """Return the note of the ASGI app's end; every note of that connection comes before it."""
        return await self.saw("left the app")

    async def all_left(self) -> None:
        """Return when no connection of this run is being served any more."""
        await self._fetch(0)
        try:
            async with asyncio.timeout(self.patience_s):
                while len(self.all("left the app")) < len(self.all("entered the app")):
                    await self._fetch(self.patience_s)
        except TimeoutError:
            raise MissingError(f"a responder is left behind; the app noted {self.notes}") from None

    def all(self, event: str) -> list[Note]:
        """Return the notes called *event* that have been fetched so far."""
        return [note for note in self.notes if note["event"] == event]

    @property
    def log(self) -> list[tuple[str, bool]]:
        """Level and presence of a traceback of each log line of falcon and falconws that was fetched so far."""
        return [
            (note["level"], note["traceback"])
            for note in self.all("log")
            if note["logger"].partition(".")[0] in ("falcon", "falconws")
        ]

    async def open_gate(self, gate: str) -> None:
        await self._http("POST", f"/gates/{gate}/{self.run}")

    async def get(self, name: str, query: str = "") -> tuple[int, bytes]:
        """Return status and body of a GET request to the route *name*."""
        return await self._http("GET", f"/{name}/{self.run}" + (f"?{query}" if query else ""))

    async def get_raw(self, name: str, query: str, host: str = "127.0.0.1") -> tuple[bytes, bytes, bytes]:
        """Return head, separator and body of what a GET request to the route *name* is answered with, if anything."""
        head = f"GET /{name}/{self.run}?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        async with asyncio.timeout(self.patience_s):
            reader, writer = await self.raw(head.encode())
            try:
                return (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.transport.abort()

    async def _fetch(self, wait_s: float) -> None:
        _, body = await self._http("GET", f"/journal/{self.run}?after={len(self.notes)}&wait={wait_s}")
        self.notes += json.loads(body)

    async def _http(self, method: str, target: str) -> tuple[int, bytes]:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        reader, writer = await self.raw(head.encode())
        try:
            response = await _read_response(reader)
            return response.status, response.body
        finally:
            writer.transport.abort()

    async def aclose(self) -> None:
        for connection in self._connections:
            connection.transport.abort()
        for connection in self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.patience_s):
                    await connection.wait_closed()


INVALID_UTF8 = bytes((0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFF))
"""A TEXT message of two bytes that are no UTF-8, masked with zeros."""


# Ways to leave


async def leave_without_status(connection: ClientConnection) -> None:
    """Close with a close frame that carries no code (RFC 6455 section 7.1.5: 1005)."""
    connection.transport.write(_close_frame(b""))
    await connection.wait_closed()


def reset(connection: ClientConnection) -> None:
    """Tear the TCP connection down with a RST."""
    linger_and_drop = struct.pack("ii", 1, 0)
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_and_drop)
    connection.transport.abort()


def hang_up(connection: ClientConnection) -> None:
    """End the TCP connection with a FIN, without a closing handshake."""
    connection.transport.abort()


def _close_frame(payload: bytes) -> bytes:
    return bytes((0x88, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def early_message(text: str) -> bytes:
    """Return a masked TEXT frame of less than 126 bytes."""
    payload = text.encode()
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def handshake(path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return the bytes of a handshake request."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def _read_response(reader: asyncio.StreamReader) -> RawResponse:
    status = int((await reader.readline()).split()[1])
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = b""
    if status == 101:
        pass
    elif headers.get("transfer-encoding") == "chunked":
        while (size := int(await reader.readline(), 16)) > 0:
            body += await reader.readexactly(size)
            await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return RawResponse(status, headers, body)
