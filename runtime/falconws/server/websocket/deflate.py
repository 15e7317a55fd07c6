"""permessage-deflate: negotiation, compression, and inflation that stops at a limit. Pure.

Source: RFC 7692 section 7.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from falconws.closecodes import CloseCode
from falconws.server.errors import ProtocolError
from falconws.server.websocket.frames import TEXT

_TAIL = b"\x00\x00\xff\xff"
_STEP_BYTES = 65_536
_MAX_STREAMS = 16
"""The most DEFLATE streams in a message: each costs time, and a million fit into 2 MiB."""
_MIN_BITS = 9
"""zlib cannot make a raw stream with a window of 8 bits; it would silently use 9."""


SharedParameters = tuple[int, int, int]
"""Window bits, level and memory level."""


@dataclass(frozen=True)
class DeflateSettings:
    """How the server compresses messages, and what it agrees to in a handshake.

    Attributes:
        window_bits: Size of the compression windows, 9 to 15: the base-2 logarithm of a number of bytes. A connection
            costs about 300 kB with a window of 15 and memory level 8, about 40 kB with 12 and 5.
        memory_level: zlib's memLevel, 1 to 9.
        level: zlib's compression level, 0 to 9; -1 leaves it to zlib.
        context_takeover: Keep the window from one message to the next. Small messages that resemble each other
            compress far better; the connection holds the memory above all the time. Broadcasts do without: each is
            compressed once for all connections with the same parameters.
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


_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"({_TOKEN})"))?')
_NAME = re.compile(rf"[ \t]*({_TOKEN})")
_END = re.compile(r"[ \t]*(?:,|\Z)")


def _parse(offers: str) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Yield the name and the parameters of each offer, up to the first that is not one (RFC 6455 section 9.1)."""
    position = 0
    while name := _NAME.match(offers, position):
        position = name.end()
        parameters: list[tuple[str, str | None]] = []
        while parameter := _PARAMETER.match(offers, position):
            position = parameter.end()
            parameters.append((parameter[1].lower(), parameter[2] or parameter[3]))
        end = _END.match(offers, position)
        if end is None:
            return
        position = end.end()
        yield name[1].lower(), parameters


def negotiate(offers: str, settings: DeflateSettings) -> Agreement | None:
    """Return the agreement for the first acceptable offer of a Sec-WebSocket-Extensions header.

    None: the client does not offer permessage-deflate, or only with parameters that cannot be met. The connection is
    not compressed then.
    """
    for name, parameters in _parse(offers):
        if name == "permessage-deflate":
            agreement = _agree(parameters, settings)
            if agreement is not None:
                return agreement
    return None


_WITHOUT_VALUE = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_WITH_VALUE = frozenset({"server_max_window_bits", "client_max_window_bits"})


def _agree(parameters: list[tuple[str, str | None]], settings: DeflateSettings) -> Agreement | None:
    offered = dict(parameters)
    if len(offered) < len(parameters) or offered.keys() - _WITHOUT_VALUE - _WITH_VALUE:
        return None
    if any(offered.get(key) is not None for key in _WITHOUT_VALUE):
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
    # Written without leading zeros (section 7.1.2.1).
    return int(value) if value in ("8", "9", "10", "11", "12", "13", "14", "15") else None


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
        return _compress(deflater, payload)

    @property
    def shared_parameters(self) -> SharedParameters:
        """What the compressed form of a message depends on when it refers to no message before it."""
        return self._agreement.server_bits, self._settings.level, self._settings.memory_level

    def forget_context(self) -> None:
        """Make later messages refer to no earlier one; called when a message is sent that was compressed elsewhere.

        That message is in the client's window, but not in ours, so that distances would be wrong.
        """
        self._deflater = None

    def inflate(self, opcode: int, payload: bytes, max_message_bytes: int) -> str | bytes:
        """Return the message that *payload* inflates to (section 7.2.2).

        Raises:
            ProtocolError: MESSAGE_TOO_BIG as soon as the message exceeds *max_message_bytes*, PROTOCOL_ERROR for bytes
                that are not DEFLATE, INVALID_PAYLOAD for text that is not UTF-8.
        """
        inflater = self._inflater or self._make_inflater()
        try:
            data, following = self._inflate(inflater, payload, max_message_bytes)
        except zlib.error:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "compressed message is not DEFLATE") from None
        self._inflater = following if self._agreement.client_takeover else None
        if opcode != TEXT:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text message is not UTF-8") from None

    def _make_inflater(self) -> zlib._Decompress:
        return zlib.decompressobj(-self._agreement.client_bits)

    def _inflate(self, inflater: zlib._Decompress, payload: bytes, limit: int) -> tuple[bytes, zlib._Decompress | None]:
        """Return what *payload* inflates to, and what inflates the next message."""
        # In steps: zlib joins its output at the end and copies the input that it has not read, so that inflating a bomb
        # at once costs more than twice the limit.
        collected = bytearray()
        streams = 1
        for piece in _steps(payload):
            unread: bytes | memoryview = piece
            while True:
                inflated = inflater.decompress(unread, _STEP_BYTES)
                collected += inflated
                if len(collected) > limit:
                    raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"message inflates to more than {limit} bytes")
                if inflater.eof:
                    # A block that is marked as final ends a stream, and another one follows (section 7.2.3.4).
                    unread = inflater.unused_data
                    if unread == _TAIL:
                        return bytes(collected), None
                    streams += 1
                    if streams > _MAX_STREAMS:
                        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "compressed message of too many streams")
                    inflater = self._make_inflater()
                elif len(inflated) < _STEP_BYTES:
                    break
                else:
                    unread = inflater.unconsumed_tail
        return bytes(collected), inflater


def compress_alone(payload: bytes, parameters: SharedParameters) -> bytes:
    """Return the payload of a compressed message that refers to no message before it, for any number of connections."""
    window_bits, level, memory_level = parameters
    return _compress(zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level), payload)


def _compress(deflater: zlib._Compress, payload: bytes) -> bytes:
    compressed = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return compressed[:-4]


def _steps(payload: bytes) -> Iterator[bytes | memoryview]:
    if len(payload) <= _STEP_BYTES:
        yield payload + _TAIL
        return
    view = memoryview(payload)
    for start in range(0, len(view), _STEP_BYTES):
        yield view[start : start + _STEP_BYTES]
    yield _TAIL
