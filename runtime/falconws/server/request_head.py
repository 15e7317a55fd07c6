"""The head of an HTTP request as bytes: parsed once, and judged the same for HTTP and for WebSocket handshakes.

Strict where parsers differ from each other, because a difference hides requests (RFC 9112 section 11.2). Pure
functions. Knows no transport.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from falconws.server.http_settings import HttpSettings

_TOKEN_CHARACTERS = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
_REQUEST_LINE = re.compile(rb"([%b]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n" % _TOKEN_CHARACTERS)
_PARTIAL_REQUEST_LINE = re.compile(rb"[%b]*(?: [!-~]*(?: [HTP/0-9.]*\r?)?)?" % _TOKEN_CHARACTERS)
_HEADER = re.compile(rb"(?<=\r\n)([%b]+):([\t -~\x80-\xff]*)\r\n" % _TOKEN_CHARACTERS)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_HOST = re.compile(rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.%A-Za-z]+\])(?::[0-9]{0,5})?")
_ABSOLUTE_FORM = re.compile(rb"(?:https?|wss?)://([^/?]*)([^#]*)", re.IGNORECASE)
_PARTIAL_LINE_BYTES = 512
"""The size up to which an incomplete request line is parsed again with every piece."""

# All connections share these objects: a connection keeps its headers as long as it lives. The keys are usual spellings.
_COMMON_NAMES = {
    spelling: name
    for name in (
        *(b"host", b"upgrade", b"connection", b"origin", b"cookie", b"user-agent", b"authorization", b"accept"),
        *(b"accept-encoding", b"accept-language", b"cache-control", b"pragma"),
        *(b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-protocol"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"),
    )
    for spelling in (name, name.title().replace(b"Websocket", b"WebSocket"))
}

_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK "
    b"QUERY".split()
)
"""The methods that every parser knows, except CONNECT, behind which httptools expects another protocol."""

Headers = list[tuple[bytes, bytes]]

DEFAULT_SETTINGS = HttpSettings()


class RequestError(Exception):
    """The request cannot be served: answer with *status* and *headers*, and close."""

    def __init__(self, status: int, message: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = list(headers)


@dataclass(slots=True)
class RequestHead:
    """A valid request head.

    Attributes:
        method: As received.
        target: In origin form: path and query; or "*", for the server itself.
        version: b"1.0" or b"1.1".
        headers: Names in lower case, in the order received.
        values: The value of each name; several lines are joined by ", " (RFC 9110 section 5.3).
        content_length: The size of the body; None if it is chunked.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    values: dict[bytes, bytes]
    content_length: int | None

    def lists(self, name: bytes, token: bytes) -> bool:
        """Return whether the header *name*, a comma-separated list, contains *token* in any case."""
        value = self.values.get(name, b"").lower()
        return value == token or (token in value and token in [item.strip(b" \t") for item in value.split(b",")])

    @property
    def asks_for_websocket(self) -> bool:
        """Whether the request asks for an upgrade to WebSocket (RFC 9110 section 7.8)."""
        return self.lists(b"upgrade", b"websocket") and self.lists(b"connection", b"upgrade")

    def as_plain_http(self) -> bytes:
        """Return the head without its Upgrade header: the request is served as if it asked for no upgrade.

        The same with expectations that the server does not know, and with "100-continue" of an HTTP/1.0 client, which
        does not understand the response, or of a request without a body.

        Source: RFC 9110 section 7.8, "A server MAY ignore a received Upgrade header field"; section 10.1.1.
        """
        parts = [b"%b %b HTTP/%b\r\n" % (self.method, self.target, self.version)]
        parts += [b"%b: %b\r\n" % header for header in self.headers if header[0] not in (b"upgrade", b"expect")]
        if self.version == b"1.1" and self.content_length != 0 and self.lists(b"expect", b"100-continue"):
            parts.append(b"expect: 100-continue\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)


def parse_head(data: bytes, settings: HttpSettings = DEFAULT_SETTINGS) -> RequestHead:
    """Return the request head in *data*, which ends with the empty line.

    Raises:
        RequestError: 400 for a malformed or ambiguous head, 431 for a head over the limits, 501 for an unknown method
            or Transfer-Encoding, 505 for an unknown version of HTTP.
    """
    line = _match_request_line(data)
    method, target, version = line.groups()
    if len(data) > settings.max_head_bytes or line.end() > settings.max_header_bytes:
        raise _too_large()
    headers: Headers = []
    values: dict[bytes, bytes] = {}
    lines = _HEADER.findall(data, line.end())
    if len(lines) != data.count(b"\r\n", line.end()) - 1 or not data.endswith(b"\r\n\r\n"):
        raise RequestError(400, "Malformed header line.")
    if len(lines) > settings.max_header_lines:
        raise _too_large()
    for name, value in lines:
        name = _COMMON_NAMES.get(name) or name.lower()
        value = value.strip(b" \t")
        headers.append((name, value))
        values[name] = b"%b, %b" % (values[name], value) if name in values else value
    if len(data) > settings.max_header_bytes:
        _check_header_sizes(values, settings.max_header_bytes)
    authority = None
    if method not in _METHODS:
        raise RequestError(501, "This server does not know the method of the request.")
    if (not target.startswith(b"/") or b"#" in target) and (method, target) != (b"OPTIONS", b"*"):
        target, authority = _origin_form(method, target)
    _check_host(headers, values, version)
    if authority is not None:
        # The target's authority replaces the Host header (RFC 9112 section 3.2.2).
        values[b"host"] = authority
        headers = [(name, authority if name == b"host" else value) for name, value in headers]
    has_body = b"content-length" in values or b"transfer-encoding" in values
    return RequestHead(method, target, version, headers, values, _content_length(values, version) if has_body else 0)


class PartialHead:
    """Checks a head that comes in pieces, so that one that cannot become valid is refused before it is complete.

    Looks at each byte once: a client that sends a large head byte by byte must not cost more than one that does not.
    """

    __slots__ = ("_checked", "_lines", "_max_bytes", "_max_line_bytes", "_max_lines", "_rest")

    def __init__(self, settings: HttpSettings) -> None:
        self._max_bytes = settings.max_head_bytes
        self._max_line_bytes = settings.max_header_bytes
        self._max_lines = settings.max_header_lines
        self._checked = 0
        self._lines = 0
        self._rest = 0
        """Where the last line begins, with the line break in front of it."""

    def check(self, data: bytearray) -> None:
        """Raise RequestError if *data*, which begins with what was checked before, cannot become a valid head."""
        # A line break may lie across the end of what was checked.
        start = max(0, self._checked - 1)
        if not self._lines:
            self._check_request_line(data, start)
        if _BARE_LF.search(data, start):
            raise RequestError(400, "Malformed header line.")
        self._lines += data.count(b"\r\n", start)
        self._rest = max(self._rest, data.rfind(b"\r\n", start))
        self._checked = len(data)
        if (
            len(data) > self._max_bytes
            or len(data) - self._rest > self._max_line_bytes
            or self._lines > self._max_lines + 1
        ):
            raise _too_large()

    def _check_request_line(self, data: bytearray, start: int) -> None:
        end = data.find(b"\r\n", start)
        if end >= 0:
            _match_request_line(bytes(data[: end + 2]))
            return
        small = not start or len(data) <= _PARTIAL_LINE_BYTES
        if small and len(data) <= self._max_line_bytes and not _PARTIAL_REQUEST_LINE.fullmatch(data):
            raise RequestError(400, "Malformed request line.")


def check_trailer(line: bytes) -> None:
    """Raise RequestError unless *line* is a header line (RFC 9112 section 7.1.2)."""
    if not _HEADER.fullmatch(b"\r\n" + line, 2):
        raise RequestError(400, "Malformed line in the request's trailers.")


def _match_request_line(data: bytes) -> re.Match[bytes]:
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise RequestError(400, "Malformed request line.")
    if line[3] not in (b"1.1", b"1.0"):
        raise RequestError(505, "This server supports HTTP/1.1 and HTTP/1.0.")
    return line


def _too_large() -> RequestError:
    return RequestError(431, "The head of the request is too large.")


def _check_header_sizes(values: dict[bytes, bytes], max_bytes: int) -> None:
    if any(len(name) + len(value) + 4 > max_bytes for name, value in values.items()):
        raise _too_large()


def _origin_form(method: bytes, target: bytes) -> tuple[bytes, bytes]:
    """Return the path of *target*, which is in absolute form, and its authority (RFC 9112 section 3.2)."""
    absolute = _ABSOLUTE_FORM.fullmatch(target)
    if absolute is None or not absolute[1] or not _HOST.fullmatch(absolute[1]):
        raise RequestError(400, "Malformed request target.")
    authority, rest = absolute.groups()
    if method == b"OPTIONS" and not rest:
        # RFC 9112 section 3.2.4.
        return b"*", authority
    return rest if rest.startswith(b"/") else b"/" + rest, authority


def _check_host(headers: Headers, values: dict[bytes, bytes], version: bytes) -> None:
    host = values.get(b"host")
    if host is None:
        if version == b"1.1":
            raise RequestError(400, "A request needs exactly one Host header.")
        return
    if len(values) != len(headers) and [name for name, _ in headers].count(b"host") != 1:
        raise RequestError(400, "A request needs exactly one Host header.")
    if not _HOST.fullmatch(host):
        raise RequestError(400, "Malformed Host header.")


def _content_length(values: dict[bytes, bytes], version: bytes) -> int | None:
    """Return the size of the body; None if it is chunked (RFC 9112 section 6)."""
    length = values.get(b"content-length")
    coding = values.get(b"transfer-encoding")
    if length is not None:
        if coding is not None:
            raise RequestError(400, "Content-Length and Transfer-Encoding exclude each other.")
        if not length.isdigit() or len(length) > 18:
            raise RequestError(400, "Malformed Content-Length header.")
        return int(length)
    assert coding is not None
    if version == b"1.0":
        raise RequestError(400, "HTTP/1.0 has no Transfer-Encoding.")
    if coding.lower() != b"chunked":
        raise RequestError(501, "The only supported Transfer-Encoding is chunked.")
    return None
