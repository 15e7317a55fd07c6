"""permessage-deflate: negotiation, compression, and inflation that stops at a limit. Pure.

Source: RFC 7692 section 7.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from falconws.closecodes import CloseCode
from falconws.server.errors import ProtocolError
from falconws.server.websocket.frames import TEXT

_TAIL = b"\x00\x00\xff\xff"
_STEP_BYTES = 65_536
_MIN_BITS = 9
"""zlib cannot make a raw stream with a window of 8 bits; it would silently use 9."""


@dataclass(frozen=True)
class DeflateSettings:
    """How the server compresses messages, and what it agrees to in a handshake.

    Attributes:
        window_bits: Size of the compression windows, 9 to 15: the base-2 logarithm of a number of bytes. A connection
            costs about 300 kB with a window of 15 and memory level 8, about 40 kB with 12 and 5.
        memory_level: zlib's memLevel, 1 to 9.
        level: zlib's compression level, 0 to 9; -1 leaves it to zlib.
        context_takeover: Keep the window from one message to the next. Small messages that resemble each other
            compress far better; the connection holds the memory above all the time.
        min_bytes: Messages smaller than this are sent uncompressed.
    """

    window_bits: int = 12
    memory_level: int = 5
    level: int = -1
    context_takeover: bool = True
    min_bytes: int = 64

    def __post_init__(self) -> None:
        if not _MIN_BITS <= self.window_bits <= 15:
            raise ValueError(f"window_bits is {self.window_bits}; it must be 9 to 15")
        if not 1 <= self.memory_level <= 9:
            raise ValueError(f"memory_level is {self.memory_level}; it must be 1 to 9")
        if not -1 <= self.level <= 9:
            raise ValueError(f"level is {self.level}; it must be -1 to 9")


@dataclass(frozen=True)
class Agreement:
    """The parameters that both sides use, and the response header that states them."""

    server_bits: int
    client_bits: int
    server_takeover: bool
    client_takeover: bool
    header: str


def negotiate(offers: str, settings: DeflateSettings) -> Agreement | None:
    """Return the agreement for the first acceptable offer of a Sec-WebSocket-Extensions header.

    None: the client does not offer permessage-deflate, or only with parameters that cannot be met. The connection is
    not compressed then.
    """
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name.lower() == "permessage-deflate":
            agreement = _agree(parameters, settings)
            if agreement is not None:
                return agreement
    return None


def _agree(parameters: list[str], settings: DeflateSettings) -> Agreement | None:
    offered: dict[str, str | None] = {}
    for parameter in parameters:
        key, separator, value = parameter.partition("=")
        key = key.strip().lower()
        if key in offered:
            return None
        offered[key] = value.strip().strip('"') if separator else None
    known = {
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    }
    if offered.keys() - known:
        return None
    if offered.get("server_no_context_takeover") or offered.get("client_no_context_takeover"):
        return None

    server_bits = settings.window_bits
    if "server_max_window_bits" in offered:
        asked = _bits(offered["server_max_window_bits"])
        if asked is None or asked < _MIN_BITS:
            return None
        server_bits = min(server_bits, asked)
    client_bits = 15
    answer = ["permessage-deflate"]
    if "client_max_window_bits" in offered:
        limit = 15 if offered["client_max_window_bits"] is None else _bits(offered["client_max_window_bits"])
        if limit is None:
            return None
        # A client's 8 bits inflate with any window; only the answer may not exceed the offer.
        client_bits = max(_MIN_BITS, min(settings.window_bits, limit))
        answer.append(f"client_max_window_bits={min(client_bits, limit)}")
    server_takeover = settings.context_takeover and "server_no_context_takeover" not in offered
    client_takeover = settings.context_takeover and "client_no_context_takeover" not in offered
    if not server_takeover:
        answer.append("server_no_context_takeover")
    if not client_takeover:
        answer.append("client_no_context_takeover")
    if server_bits < 15:
        # Without the client's offer the server may still limit its own window (section 7.1.2.1).
        answer.append(f"server_max_window_bits={server_bits}")
    return Agreement(server_bits, client_bits, server_takeover, client_takeover, "; ".join(answer))


def _bits(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and 8 <= int(value) <= 15 else None


class PerMessageDeflate:
    """Compresses and inflates the messages of one connection. A zlib object exists only once it is needed."""

    __slots__ = ("_agreement", "_deflater", "_inflater", "_settings", "min_bytes")

    def __init__(self, agreement: Agreement, settings: DeflateSettings) -> None:
        self._agreement = agreement
        self._settings = settings
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None
        self.min_bytes = settings.min_bytes

    def compress(self, payload: bytes) -> bytes:
        """Return the payload of a compressed message (section 7.2.1)."""
        deflater = self._deflater
        if deflater is None:
            settings = self._settings
            deflater = zlib.compressobj(
                settings.level, zlib.DEFLATED, -self._agreement.server_bits, settings.memory_level
            )
            if self._agreement.server_takeover:
                self._deflater = deflater
        compressed = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return compressed[:-4]

    def inflate(self, opcode: int, payload: bytes, max_message_bytes: int) -> str | bytes:
        """Return the message that *payload* inflates to (section 7.2.2).

        Raises:
            ProtocolError: MESSAGE_TOO_BIG as soon as the message exceeds *max_message_bytes*, PROTOCOL_ERROR for bytes
                that are not DEFLATE, INVALID_PAYLOAD for text that is not UTF-8.
        """
        inflater = self._inflater
        if inflater is None:
            inflater = zlib.decompressobj(-self._agreement.client_bits)
            if self._agreement.client_takeover:
                self._inflater = inflater
        try:
            data = _inflate(inflater, payload, max_message_bytes)
        except zlib.error:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "compressed message is not DEFLATE") from None
        if inflater.eof:
            # A final block ends the stream; the next message starts a new one (section 7.2.3.4).
            self._inflater = None
        if opcode != TEXT:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text message is not UTF-8") from None


def _inflate(inflater: zlib._Decompress, payload: bytes, limit: int) -> bytes:
    # In steps: zlib joins its output at the end and copies the input that it has not read, so that inflating a bomb at
    # once costs more than twice the limit.
    collected = bytearray()
    for piece in _steps(payload):
        unread: bytes | memoryview = piece
        while True:
            inflated = inflater.decompress(unread, _STEP_BYTES)
            collected += inflated
            if len(collected) > limit:
                raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"message inflates to more than {limit} bytes")
            if len(inflated) < _STEP_BYTES:
                break
            unread = inflater.unconsumed_tail
    return bytes(collected)


def _steps(payload: bytes) -> Iterator[bytes | memoryview]:
    if len(payload) <= _STEP_BYTES:
        yield payload + _TAIL
        return
    view = memoryview(payload)
    for start in range(0, len(view), _STEP_BYTES):
        yield view[start : start + _STEP_BYTES]
    yield _TAIL
