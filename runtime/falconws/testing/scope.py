"""The connection scope of a WebSocket handshake, made from the arguments of a test.

Owns quoting and the headers that a client must send. Knows nothing of the connection that follows.

Source: ASGI "Websocket Connection Scope", version 2.5; RFC 6455 section 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from .asgi import Scope
from .connection import HeaderList

__all__ = ("Headers", "handshake_scope", "header_pairs")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_HOST = "localhost"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""The syntax of header names and subprotocols (RFC 9110 section 5.6.2)."""


def handshake_scope(
    path: str,
    *,
    query_string: str,
    root_path: str,
    scheme: str,
    subprotocols: Iterable[str],
    headers: list[tuple[str, str]],
) -> Scope:
    """Return the scope for the arguments. Raises ValueError for what no client could send."""
    if isinstance(subprotocols, str):
        raise ValueError(f"Give the subprotocols as a list: [{subprotocols!r}].")
    subprotocols = list(subprotocols)
    path, question_mark, query = path.partition("?")
    if question_mark and query_string:
        raise ValueError("Give the query string in the path or as query_string, not in both.")
    if not path.startswith("/") or "#" in path:
        raise ValueError(f"The path must begin with '/' and have no fragment ('#'), got {path!r}.")
    if query_string.startswith("?"):
        raise ValueError(f"The query_string must not begin with '?', got {query_string!r}.")
    if scheme not in ("ws", "wss"):
        raise ValueError(f"The scheme is 'ws' or 'wss', not {scheme!r}.")
    raw_path = _quoted(path)
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": scheme,
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": _quoted(query_string or query).encode(),
        "root_path": root_path,
        "headers": _handshake_headers(subprotocols, headers),
        "client": ["127.0.0.1", 49152],
        "server": [_HOST, 443 if scheme == "wss" else 80],
        "subprotocols": subprotocols,
        "extensions": {"websocket.http.response": {}},
    }


def _quoted(text: str) -> str:
    """Return *text* with the characters that a request target may not have percent-encoded."""
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe="/?:@!$&'()*+,;=~-._%")


def _handshake_headers(subprotocols: list[str], headers: list[tuple[str, str]]) -> HeaderList:
    defaults = {
        "host": _HOST,
        "user-agent": "falconws-testing",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        # The example of RFC 6455 section 1.3.
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    if subprotocols:
        for subprotocol in subprotocols:
            if not _TOKEN.fullmatch(subprotocol):
                raise ValueError(f"{subprotocol!r} cannot be a subprotocol: it must be a token (RFC 6455 section 4.1).")
        defaults["sec-websocket-protocol"] = ", ".join(subprotocols)
    result: HeaderList = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise ValueError(f"{name!r}: {value!r} cannot be sent as a header.")
        defaults.pop(name.lower(), None)
        result.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in defaults.items()] + result


def header_pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Return *headers* as a list of names and values."""
    return list(headers.items() if isinstance(headers, Mapping) else headers or ())
