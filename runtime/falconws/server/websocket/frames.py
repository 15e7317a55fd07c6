"""Frame headers and close payloads as bytes. Pure: knows no connection.

Source: RFC 6455 sections 5.2, 5.5.1 and 7.4.
"""

from __future__ import annotations

from falconws.closecodes import CloseCode, is_sendable
from falconws.server.errors import ProtocolError

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

FIN = 0x80
RSV1 = 0x40

_MAX_REASON_BYTES = 123


def frame_header(first_byte: int, payload_size: int) -> bytes:
    """Return the header of an unmasked frame; *first_byte* is the opcode with its FIN and RSV bits."""
    if payload_size < 126:
        return bytes((first_byte, payload_size))
    if payload_size < 65536:
        return bytes((first_byte, 126)) + payload_size.to_bytes(2, "big")
    return bytes((first_byte, 127)) + payload_size.to_bytes(8, "big")


def shorten_reason(reason: str) -> bytes:
    """Return *reason* in UTF-8, cut at a character so that it fits a close frame.

    A connection must not fail to close because its reason is too long.
    """
    encoded = reason.encode()
    if len(encoded) > _MAX_REASON_BYTES:
        encoded = encoded[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return encoded


def parse_close_payload(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a received close frame; (1005, "") when it is empty.

    Raises:
        ProtocolError: PROTOCOL_ERROR for a payload of one byte or a code that may not be sent, INVALID_PAYLOAD for a
            reason that is not UTF-8.
    """
    if not payload:
        return CloseCode.NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close frame with half a status code")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(CloseCode.INVALID_PAYLOAD, "close reason is not UTF-8") from None
