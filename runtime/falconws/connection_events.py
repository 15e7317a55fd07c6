"""The ASGI events that accept, refuse and close a connection, in the form that the server understands.

Owns what may be in them, and which version of ASGI has what. Must not know the states of a connection or its messages.

Source: ASGI "WebSocket", versions 2.0 to 2.5; ASGI "WebSocket Denial Response".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import falcon

from .closecodes import CloseCode
from .errors import OperationNotAllowed
from .headers import clean_headers
from .stream import Payload, Send

__all__ = (
    "DenialResponse",
    "Headers",
    "accept_event",
    "close_event",
    "denial_events",
    "denial_response",
    "passes_on_reasons",
    "send_close",
    "supports_accept_headers",
)

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

DenialResponse = tuple[int, list[tuple[bytes, bytes]], bytes]
"""The status, the headers and the body of the HTTP response that refuses a handshake."""

_FIRST_LIBRARY_CODE = 3000

_logger = logging.getLogger("falconws")


@lru_cache(maxsize=8)
def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def supports_accept_headers(spec_version: str) -> bool:
    """Return whether ``websocket.accept`` may have headers."""
    return _version(spec_version) >= (2, 1)


def passes_on_reasons(spec_version: str) -> bool:
    """Return whether ``websocket.disconnect`` has the reason of every close frame, even an empty one."""
    return _version(spec_version) >= (2, 4)


def accept_event(
    subprotocol: str | None, offered: Sequence[str], headers: Headers | None, spec_version: str
) -> dict[str, Any]:
    """Return the event that accepts a handshake; the arguments and errors are those of ``WebSocket.accept()``."""
    event: dict[str, Any] = {"type": "websocket.accept"}
    if subprotocol is not None:
        if not isinstance(subprotocol, str):
            raise ValueError("WebSocket subprotocol must be a string")
        if subprotocol not in offered:
            # RFC 6455 section 4.1: the client would fail the connection.
            raise ValueError(
                f"The client does not offer the subprotocol {subprotocol!r}; it offers {', '.join(offered) or 'none'}."
            )
        event["subprotocol"] = subprotocol
    if headers:
        encoded = clean_headers(_encode_headers(headers, "ascii"))
        if any(name == b"sec-websocket-protocol" for name, _ in encoded):
            raise ValueError("Pass the accepted subprotocol as subprotocol=, not as a sec-websocket-protocol header.")
        if not supports_accept_headers(spec_version):
            raise OperationNotAllowed("The ASGI server that runs this app does not support accept headers.")
        event["headers"] = encoded
    return event


def denial_response(
    status: int | str | HTTPStatus,
    headers: Headers | None,
    *,
    text: str | None,
    data: bytes | None,
    media: object,
    serialize: Callable[[object], Payload],
) -> DenialResponse:
    """Return the response that refuses a handshake; the arguments and errors are those of ``WebSocket.deny()``."""
    code = falcon.http_status_to_code(status)
    if not 300 <= code <= 599:
        raise ValueError(f"Status {code} cannot refuse a handshake: use 300 to 599.")
    if sum(body is not None for body in (text, data, media)) > 1:
        raise ValueError("Give at most one of text, data and media.")
    encoded = _encode_headers(headers or (), "latin-1")
    content_type = b"text/plain; charset=utf-8"
    body = data or b""
    if text is not None:
        body = text.encode()
    elif media is not None:
        serialized = serialize(media)
        body = serialized.encode() if isinstance(serialized, str) else bytes(serialized)
        content_type = b"application/json"
    if body and not any(name == b"content-type" for name, _ in encoded):
        encoded.append((b"content-type", content_type))
    return code, encoded, body


def denial_events(response: DenialResponse) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two events that refuse a handshake with *response*."""
    status, headers, body = response
    if not any(name == b"content-length" for name, _ in headers):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    return (
        {"type": "websocket.http.response.start", "status": status, "headers": headers},
        {"type": "websocket.http.response.body", "body": body, "more_body": False},
    )


def close_event(code: int, reason: str, spec_version: str) -> dict[str, Any]:
    """Return the event that closes a connection, with *reason* if the server takes one."""
    # daphne wants a plain int.
    event: dict[str, Any] = {"type": "websocket.close", "code": int(code)}
    if reason and _version(spec_version) >= (2, 3):
        event["reason"] = reason
    return event


async def send_close(send: Send, event: dict[str, Any], client: str) -> None:
    """Send a ``websocket.close`` *event*. Errors are logged with the name *client*: the peer may be gone already."""
    try:
        await send(event)
    except OSError:
        return  # The peer closed first.
    except Exception:
        if not CloseCode.NORMAL < event["code"] < _FIRST_LIBRARY_CODE:
            _logger.debug("WebSocket client %s left before it could be closed", client, exc_info=True)
            return
        # Of the codes below 3000, daphne sends only 1000: 3001 stands for 1001, and so on.
        event["code"] += _FIRST_LIBRARY_CODE - CloseCode.NORMAL
        try:
            await send(event)
        except Exception:
            # The code was not the reason. uvicorn's websockets engine raises RuntimeError when the peer is gone.
            _logger.debug("WebSocket client %s could not be closed", client, exc_info=True)
        else:
            _logger.debug("The ASGI server refuses a close code; WebSocket client %s gets %d", client, event["code"])


def _encode_headers(headers: Headers, encoding: str) -> list[tuple[bytes, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    return [(name.lower().encode("ascii"), value.encode(encoding)) for name, value in pairs]
