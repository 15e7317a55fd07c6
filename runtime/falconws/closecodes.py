"""The close codes of RFC 6455: which exist, which an endpoint may send, and what a client should do about each.

Owns the numbers: no other module writes one as a literal. Knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import IntEnum

__all__ = (
    "FINAL_CODES",
    "FORBIDDEN",
    "TEMPORARY_STATUS_CODES",
    "CloseCode",
    "check_close",
    "http_status_to_close_code",
    "is_final",
    "is_sendable",
    "meaning_of",
)

_MAX_REASON_BYTES = 123
"""A control frame's payload is at most 125 bytes, two of which are the code (RFC 6455 section 5.5)."""


class CloseCode(IntEnum):
    """The close codes registered with IANA, each with what it tells a client to do.

    Source: RFC 6455 section 7.4.1; IANA "WebSocket Close Code Number Registry".
    """

    NORMAL = 1000
    """The conversation is over. Do not reconnect."""
    GOING_AWAY = 1001
    """The page was left, or the server shuts down. Reconnect when needed."""
    PROTOCOL_ERROR = 1002
    """The peer broke RFC 6455. Reconnecting does not help; fix the client."""
    UNSUPPORTED_DATA = 1003
    """A TEXT message came where BINARY was expected, or the reverse. Fix the client."""
    NO_STATUS = 1005
    """Never sent: the peer closed without giving a code."""
    ABNORMAL = 1006
    """Never sent: the connection was lost without a closing handshake. Reconnect with a random delay."""
    INVALID_PAYLOAD = 1007
    """A payload could not be decoded (bad UTF-8, bad JSON). Fix the client."""
    POLICY_VIOLATION = 1008
    """The application's rules forbid it. Do not reconnect unchanged."""
    MESSAGE_TOO_BIG = 1009
    """A message exceeds the size limit. Send smaller messages."""
    MANDATORY_EXTENSION = 1010
    """Only clients send it: the server did not negotiate an extension that the client needs."""
    INTERNAL_ERROR = 1011
    """The server failed. Reconnect with a random, growing delay."""
    SERVICE_RESTART = 1012
    """The server restarts. Reconnect with a random delay."""
    TRY_AGAIN_LATER = 1013
    """The server is overloaded. Reconnect later."""
    BAD_GATEWAY = 1014
    """A gateway got an invalid answer from the server behind it. Reconnect later."""


FORBIDDEN = 4403
"""An application's code, after HTTP's 403: the default of ``hub.disconnect()``. Do not reconnect."""


def is_sendable(code: int) -> bool:
    """Return whether an endpoint may send *code* in a close frame.

    1004 is reserved, and 1005, 1006 and 1015 are never on the wire; 1016 to 2999 are not assigned.

    Source: RFC 6455 sections 7.4.1 and 7.4.2.
    """
    return 3000 <= code <= 4999 or 1000 <= code <= 1003 or 1007 <= code <= 1014


def check_close(code: int, reason: str | None) -> None:
    """Raise ValueError unless an endpoint may send *code* and *reason* in a close frame.

    Allowed are 1000-1003, 1007-1014, and the ranges for libraries (3000-3999) and applications (4000-4999); a reason
    has at most 123 bytes of UTF-8.

    Source: RFC 6455 sections 5.5.1, 7.4.1 and 7.4.2.
    """
    # True is an int, too; its value fails the checks below.
    if not isinstance(code, int):
        raise ValueError(f"The close code must be an int, not {type(code).__name__}.")
    if not 1000 <= code <= 4999:
        raise ValueError(f"Invalid close code {code}: it must be between 1000 and 4999.")
    if not is_sendable(code):
        raise ValueError(f"Invalid close code {code}: it is reserved and may not be sent; applications use 4000-4999.")
    if reason is None:
        return
    if not isinstance(reason, str):
        raise ValueError(f"The close reason must be a str, not {type(reason).__name__}.")
    size = len(reason.encode())
    if size > _MAX_REASON_BYTES:
        raise ValueError(f"The close reason has {size} bytes of UTF-8; at most {_MAX_REASON_BYTES} fit.")


def http_status_to_close_code(status: int) -> int:
    """Return the close code that stands for an HTTP *status* after the handshake: 3000 + status, as in Falcon."""
    return 3000 + status


FINAL_CODES = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_PAYLOAD,
        CloseCode.POLICY_VIOLATION,
        CloseCode.MESSAGE_TOO_BIG,
        CloseCode.MANDATORY_EXTENSION,
        FORBIDDEN,
    }
)
"""Codes of RFC 6455 after which a client does not reconnect: the same thing would happen again."""

TEMPORARY_STATUS_CODES = frozenset({429, 503})
"""Temporary HTTP statuses: a client reconnects after 3000 + one of them, but not after other codes of 3000 to 3999."""


def is_final(code: int, declared: Container[int] = ()) -> bool:
    """Return whether a client should not reconnect after *code*.

    Args:
        code: The close code that the client has received; 1005 and 1006 included.
        declared: The application's own codes, which are final.
    """
    if code in declared or code in FINAL_CODES:
        return True
    return 3000 <= code < 4000 and code - 3000 not in TEMPORARY_STATUS_CODES


_MEANINGS = {
    CloseCode.NORMAL: "the conversation is over",
    CloseCode.GOING_AWAY: "the page was left, or the server shuts down",
    CloseCode.PROTOCOL_ERROR: "the peer broke the protocol",
    CloseCode.UNSUPPORTED_DATA: "TEXT where BINARY was expected, or the reverse",
    CloseCode.NO_STATUS: "closed without a code",
    CloseCode.ABNORMAL: "the connection was lost",
    CloseCode.INVALID_PAYLOAD: "a payload could not be decoded",
    CloseCode.POLICY_VIOLATION: "a rule of the application forbids it",
    CloseCode.MESSAGE_TOO_BIG: "a message was too big",
    CloseCode.MANDATORY_EXTENSION: "an extension is missing",
    CloseCode.INTERNAL_ERROR: "the server failed",
    CloseCode.SERVICE_RESTART: "the server restarts",
    CloseCode.TRY_AGAIN_LATER: "the server is overloaded; try again later",
    CloseCode.BAD_GATEWAY: "a gateway got an invalid answer",
    FORBIDDEN: "the application has disconnected this member",
}


def meaning_of(code: int, declared: Mapping[int, str] = {}) -> str:
    """Return in a few words, for people, what a close *code* means; "" for a code without a known meaning.

    Args:
        code: The close code that an endpoint has received; 1005 and 1006 included.
        declared: The application's own codes, and their meaning.
    """
    found = declared.get(code) or _MEANINGS.get(code)
    if found is None and 3000 <= code < 4000:
        # Not at the top: most users of this module never call this function.
        from http import HTTPStatus

        try:
            return f"HTTP status {code - 3000} {HTTPStatus(code - 3000).phrase}, after the handshake"
        except ValueError:
            return ""
    return found or ""
