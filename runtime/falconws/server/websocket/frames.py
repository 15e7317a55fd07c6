"""Frames as bytes: headers to send, close payloads both ways. Pure; knows no connection.

Source: RFC 6455 sections 5.2, 5.5.1 and 7.4.
"""

from __future__ import annotations

from falconws.server.errors import ProtocolError

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

FIN = 0x80
RSV1 = 0x40

NO_STATUS = 1005
ABNORMAL = 1006

_MAX_REASON_BYTES = 123
# 1004 is reserved; 1005, 1006 and 1015 are never on the wire; 1016-2999 are not assigned.
_KNOWN = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})


def frame_header(first_byte: int, payload_size: int) -> bytes:
    """Return the header of an unmasked frame: *first_byte* is the opcode with its FIN and RSV bits."""
    if payload_size < 126:
        return bytes((first_byte, payload_size))
    if payload_size < 65536:
        return bytes((first_byte, 126)) + payload_size.to_bytes(2, "big")
    return bytes((first_byte, 127)) + payload_size.to_bytes(8, "big")


def is_sendable_close_code(code: int) -> bool:
    """Return whether *code* may stand in a close frame."""
    return code in _KNOWN or 3000 <= code <= 4999


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload of a close frame; empty for 1005, which means that no status is sent.

    A reason over 123 bytes of UTF-8 is cut at a character: a connection that ends should not fail
    on the length of its explanation.
    """
    if code == NO_STATUS:
        return b""
    encoded = reason.encode()
    if len(encoded) > _MAX_REASON_BYTES:
        encoded = encoded[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + encoded


def parse_close_payload(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a received close frame; (1005, "") when it is empty.

    Raises:
        ProtocolError: 1002 for a payload of one byte or a code that may not be sent, 1007 for a
            reason that is not UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError(1002, "close frame with half a status code")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable_close_code(code):
        raise ProtocolError(1002, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(1007, "close reason is not UTF-8") from None
