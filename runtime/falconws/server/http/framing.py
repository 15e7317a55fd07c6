"""Cuts the bytes of a connection into requests: heads, pieces of bodies, and the end of each request.

The framer is the only reader of a connection's bytes. It reads on behind a request only when it is told to, so that
what follows a request is never part of it, and a handshake behind a request waits for the response to that. Pure: knows
no transport and no parser.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from falconws.server.http_settings import HttpSettings
from falconws.server.request_head import PartialHead, RequestError, RequestHead, check_trailer, parse_head

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*(?:;[\t -~\x80-\xff]*)?)\r\n")
_MAX_CHUNK_LINE_BYTES = 1024


class End:
    """The event behind the last piece of a body."""


END = End()


class _State(Enum):
    HEAD = auto()
    FIXED_BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()


class RequestFramer:
    """Reads requests from the bytes of one connection.

    Args:
        settings: The limits of a request.

    `next_event` raises RequestError for an invalid request; the framer is of no use after that.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.head: RequestHead | None = None
        """The head of the present request, or of the last one; None if it is invalid."""
        self._settings = settings
        self._buffer = bytearray()
        self._state = _State.HEAD
        self._remaining = 0
        self._body_bytes = 0
        self._ignored_bytes = 0
        """Bytes of the chunk extensions and trailers of the present body."""
        self._searched = 0
        self._partial_head: PartialHead | None = None

    @property
    def buffered(self) -> int:
        """Bytes that were received and not yet returned."""
        return len(self._buffer)

    @property
    def expects_head(self) -> bool:
        """Whether the last request is complete, and the head of the next one follows."""
        return self._state is _State.HEAD

    def feed(self, data: bytes) -> None:
        """Take more bytes from the connection."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """Return everything that is behind the last event, and forget it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_event(self) -> RequestHead | bytes | End | None:
        """Return a head, a piece of a decoded body, or END behind a body; None if more bytes are needed.

        Raises:
            RequestError: The head or the body is malformed, or over a limit.
        """
        match self._state:
            case _State.HEAD:
                return self._read_head()
            case _State.FIXED_BODY:
                if self._remaining == 0:
                    self._state = _State.HEAD
                    return END
                return self._read_data()
            case _:
                return self._read_chunked()

    def _read_head(self) -> RequestHead | None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            # Empty lines in front of a request are ignored (RFC 9112 section 2.2).
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if buffer and buffer != b"\r":
                if self._partial_head is None:
                    self._partial_head = PartialHead(self._settings)
                self._partial_head.check(buffer)
            return None
        self._partial_head = None
        self.head = None
        self.head = head = parse_head(bytes(buffer[: end + 4]), self._settings)
        del buffer[: end + 4]
        self._searched = self._body_bytes = self._ignored_bytes = 0
        if head.content_length is None:
            self._state = _State.CHUNK_SIZE
        else:
            if head.content_length > self._settings.max_body_bytes:
                raise self._body_too_large()
            self._state = _State.FIXED_BODY
            self._remaining = head.content_length
        return head

    def _read_data(self) -> bytes | None:
        if not self._buffer:
            return None
        data = bytes(self._buffer[: self._remaining])
        del self._buffer[: self._remaining]
        self._remaining -= len(data)
        return data

    def _read_chunked(self) -> bytes | End | None:
        if self._state is _State.CHUNK_SIZE:
            if (line := self._read_line(_MAX_CHUNK_LINE_BYTES)) is None:
                return None
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise RequestError(400, "Malformed chunk.")
            self._ignore(len(size[2]))
            self._remaining = int(size[1], 16)
            self._body_bytes += self._remaining
            if self._body_bytes > self._settings.max_body_bytes:
                raise self._body_too_large()
            self._state = _State.CHUNK_DATA if self._remaining else _State.TRAILERS
        if self._state is _State.TRAILERS:
            return self._skip_trailers()
        if self._state is _State.CHUNK_DATA:
            data = self._read_data()
            if not self._remaining:
                self._state = _State.CHUNK_END
            return data
        if len(self._buffer) < 2:
            if not b"\r\n".startswith(self._buffer):
                raise RequestError(400, "Malformed chunk.")
            return None
        if self._buffer[:2] != b"\r\n":
            raise RequestError(400, "Malformed chunk.")
        del self._buffer[:2]
        self._state = _State.CHUNK_SIZE
        return self._read_chunked()

    def _skip_trailers(self) -> End | None:
        while (line := self._read_line(self._settings.max_header_bytes)) is not None:
            if line == b"\r\n":
                self._state = _State.HEAD
                return END
            check_trailer(line)
            self._ignore(len(line))
        return None

    def _ignore(self, size: int) -> None:
        """Count *size* bytes of a chunk extension or a trailer (RFC 9112 section 7.1.1)."""
        self._ignored_bytes += size
        if self._ignored_bytes > self._settings.max_head_bytes:
            raise RequestError(431, "The chunk extensions and trailers of the request are too large.")

    def _read_line(self, max_bytes: int) -> bytes | None:
        end = self._buffer.find(b"\n", 0, max_bytes)
        if end < 0:
            if len(self._buffer) >= max_bytes:
                status = 400 if self._state is _State.CHUNK_SIZE else 431
                raise RequestError(status, "A line of the request's body is too long.")
            return None
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n"):
            raise RequestError(400, "Malformed line in the request's body.")
        return line

    def _body_too_large(self) -> RequestError:
        return RequestError(413, f"The body of the request is larger than {self._settings.max_body_bytes} bytes.")
