"""The opening handshake: check the request head, build the responses as bytes (RFC 6455 section 4.2).

Pure functions. Knows no transport and no application.
"""

from __future__ import annotations

import binascii
import hashlib
import http
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from falconws.server.http_settings import HttpSettings
from falconws.server.request_head import DEFAULT_SETTINGS, Headers, RequestError, RequestHead, parse_head

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# Written by the handshake itself; an application may not write them too.
_RESERVED = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


@dataclass(slots=True)
class HandshakeRequest:
    """A valid opening handshake.

    Attributes:
        raw_path: The path as received, without the query string.
        path: The path with its percent escapes decoded.
        query_string: What follows the first "?", or nothing.
        headers: Names in lower case, in the order received.
        key: Value of Sec-WebSocket-Key.
        subprotocols: The subprotocols that the client offers, in its order of preference.
        extensions: The Sec-WebSocket-Extensions headers, joined by commas.
    """

    raw_path: bytes
    path: str
    query_string: bytes
    headers: Headers
    key: bytes
    subprotocols: list[str]
    extensions: str


def parse_request(data: bytes, settings: HttpSettings = DEFAULT_SETTINGS) -> HandshakeRequest:
    """Return the handshake in *data*, a request head that ends with its empty line.

    Raises:
        RequestError: The head is invalid, or is not a valid handshake; see `parse_head` and `check_handshake`.
    """
    return check_handshake(parse_head(data, settings))


def check_handshake(head: RequestHead) -> HandshakeRequest:
    """Return *head* as a handshake (RFC 6455 section 4.2.1).

    Raises:
        RequestError: 400, 405 or 426, with a sentence for the client.
    """
    values = head.values
    if head.method != b"GET":
        raise RequestError(405, "A WebSocket handshake is a GET request.", [(b"allow", b"GET")])
    if head.version != b"1.1":
        raise RequestError(400, "A WebSocket handshake needs HTTP/1.1.")
    if not head.lists(b"upgrade", b"websocket"):
        raise RequestError(426, "The only possible upgrade is to websocket.", [(b"upgrade", b"websocket")])
    if not head.lists(b"connection", b"upgrade"):
        raise RequestError(400, "The Connection header does not list Upgrade.")
    if values.get(b"sec-websocket-version") != b"13":
        raise RequestError(
            426,
            "This server supports version 13 of the WebSocket protocol only.",
            [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")],
        )
    key = values.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        raise RequestError(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    if head.content_length != 0:
        raise RequestError(400, "A handshake may not have a body.")
    raw_path, _, query_string = head.target.partition(b"?")
    path = raw_path.decode("latin-1")
    subprotocols: list[str] = []
    if b"sec-websocket-protocol" in values:
        tokens = values[b"sec-websocket-protocol"].split(b",")
        subprotocols = [token.strip().decode("latin-1") for token in tokens if token.strip()]
    extensions = values.get(b"sec-websocket-extensions", b"").decode("latin-1")
    path = unquote(path) if "%" in path else path
    return HandshakeRequest(raw_path, path, query_string, head.headers, key, subprotocols, extensions)


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except binascii.Error:
        return False


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers *key* (RFC 6455 section 4.2.2)."""
    return binascii.b2a_base64(hashlib.sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def upgrade_response(
    key: bytes,
    *,
    default_headers: Iterable[tuple[bytes, bytes]] = (),
    headers: Iterable[tuple[bytes, bytes]] = (),
    subprotocol: str | None = None,
    extensions: str | None = None,
) -> bytes:
    """Return the complete 101 response.

    Raises:
        ValueError: A header of the application is malformed, or belongs to the handshake.
    """
    parts = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        accept_value(key),
        b"\r\n",
    ]
    if subprotocol is not None:
        _append(parts, b"Sec-WebSocket-Protocol", _subprotocol(subprotocol))
    if extensions is not None:
        _append(parts, b"Sec-WebSocket-Extensions", extensions.encode())
    parts.append(_lines(tuple(default_headers)))
    for name, value in headers:
        if bytes(name).lower() in _RESERVED:
            raise ValueError(f"The header {bytes(name).decode('latin-1')} belongs to the handshake.")
        _append(parts, name, value)
    parts.append(b"\r\n")
    return b"".join(parts)


@lru_cache(maxsize=4)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return *headers* as lines. Cached: the server's own headers change once a second."""
    parts: list[bytes] = []
    for name, value in headers:
        _append(parts, name, value)
    return b"".join(parts)


def _subprotocol(subprotocol: str) -> bytes:
    try:
        encoded = subprotocol.encode("ascii")
    except UnicodeEncodeError:
        encoded = b""
    if not _TOKEN.fullmatch(encoded):
        raise ValueError(f"The subprotocol {subprotocol!r} is not an HTTP token.")
    return encoded


def denial_head(
    status: int,
    *,
    default_headers: Iterable[tuple[bytes, bytes]] = (),
    headers: Iterable[tuple[bytes, bytes]] = (),
    content_length: int | None = None,
) -> bytes:
    """Return the status line and headers of a response that refuses the handshake.

    Without *content_length* the end of the connection ends the body.

    Raises:
        ValueError: The status is not 200-599, or a header is malformed.
    """
    if not 200 <= status < 600:
        raise ValueError(f"The status {status} cannot refuse a handshake; it must be 200 to 599.")
    try:
        phrase = http.HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b""
    parts = [b"HTTP/1.1 %d %s\r\n" % (status, phrase)]
    given = list(headers)
    names = {bytes(name).lower() for name, _ in given}
    for name, value in default_headers:
        if name.lower() not in names:
            _append(parts, name, value)
    for name, value in given:
        # The connection ends with this response, and its body is not chunked.
        if bytes(name).lower() not in (b"connection", b"transfer-encoding"):
            _append(parts, name, value)
    if content_length is not None and b"content-length" not in names and status not in (204, 304):
        parts.append(b"content-length: %d\r\n" % content_length)
    parts.append(b"connection: close\r\n\r\n")
    return b"".join(parts)


def plain_denial(
    status: int,
    message: str,
    *,
    default_headers: Iterable[tuple[bytes, bytes]] = (),
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return a complete response with *message* as plain text."""
    body = message.encode()
    head = denial_head(
        status,
        default_headers=default_headers,
        headers=[(b"content-type", b"text/plain; charset=utf-8"), *headers],
        content_length=len(body),
    )
    return head + body


def _append(parts: list[bytes], name: bytes, value: bytes) -> None:
    # Applications send any bytes-like object.
    name, value = bytes(name), bytes(value)
    if not _TOKEN.fullmatch(name) or _BAD_VALUE.search(value):
        raise ValueError(f"The response header {name!r}: {value!r} is malformed.")
    parts += (name, b": ", value, b"\r\n")
