"""Payloads to objects and back, and who is at fault when one cannot become the other.

Owns the media handlers of one connection. Knows nothing of how messages arrive or leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from falcon import WebSocketPayloadType

from .closecodes import CloseCode
from .errors import PayloadTypeError
from .media import BinaryBaseHandlerWS, TextBaseHandlerWS
from .stream import Payload

__all__ = ("MediaCodec", "as_data", "as_text")

_TEXT, _BINARY = WebSocketPayloadType.TEXT, WebSocketPayloadType.BINARY


class MediaCodec:
    """Serializes and deserializes the messages of one connection.

    Args:
        handlers: A TEXT and a BINARY handler, as in ``ws_options.media_handlers``.
    """

    __slots__ = ("_binary", "_binary_decoded", "_text", "_text_decoded", "_undecodable")

    def __init__(self, handlers: Mapping[WebSocketPayloadType, Any]) -> None:
        self._text = handlers[_TEXT]
        self._binary = handlers[_BINARY]
        self._text_decoded = self._binary_decoded = False
        """Whether the client has sent a message of this type."""
        self._undecodable: Exception | None = None
        """The error of the last payload that could not be decoded."""

    def serialize(self, media: object, payload_type: WebSocketPayloadType = _TEXT) -> Payload:
        """Return the payload of a message of *payload_type*."""
        if payload_type is _TEXT:
            text: str = self._text.serialize(media)
            return text
        return bytes(self._binary.serialize(media))

    def deserialize(self, payload: Payload) -> Any:
        """Return the object in *payload*."""
        if isinstance(payload, str):
            handler, self._text_decoded = self._text, True
        else:
            handler, self._binary_decoded = self._binary, True
        try:
            return handler.deserialize(payload)
        except (ValueError, ArithmeticError, RecursionError) as error:
            self._undecodable = error
            raise

    def client_fault(self, error: BaseException) -> tuple[CloseCode, str] | None:
        """Return how to close the connection if the client has caused *error*, else None."""
        if error is self._undecodable:
            return CloseCode.INVALID_PAYLOAD, "Payload cannot be decoded"
        if self._is_inexpressible(error):
            return CloseCode.INVALID_PAYLOAD, "Payload cannot be expressed"
        if isinstance(error, PayloadTypeError):
            return CloseCode.UNSUPPORTED_DATA, "Unexpected payload type"
        return None

    def _is_inexpressible(self, error: BaseException) -> bool:
        """Return whether a handler failed to serialize what only the handler of the client's messages can express.

        For example, MessagePack has bytes, and JSON does not. Such a value came in a message.
        """
        traceback = error.__traceback__
        while traceback is not None:
            code, variables = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
            handler = variables.get("self")
            if code.co_name == "serialize" and isinstance(handler, (TextBaseHandlerWS, BinaryBaseHandlerWS)):
                text = isinstance(handler, TextBaseHandlerWS)
                other, decoded = (self._binary, self._binary_decoded) if text else (self._text, self._text_decoded)
                return decoded and _can_serialize(other, variables.get(code.co_varnames[1]))
            traceback = traceback.tb_next
        return False


def _can_serialize(handler: TextBaseHandlerWS | BinaryBaseHandlerWS, media: object) -> bool:
    try:
        handler.serialize(media)
    except Exception:
        return False
    return True


def as_text(payload: Payload) -> str:
    """Return *payload*, which must be that of a TEXT message. Raises PayloadTypeError."""
    if isinstance(payload, str):
        return payload
    raise PayloadTypeError("Expected TEXT payload but got BINARY instead")


def as_data(payload: Payload) -> bytes:
    """Return *payload*, which must be that of a BINARY message. Raises PayloadTypeError."""
    if isinstance(payload, str):
        raise PayloadTypeError("Expected BINARY payload but got TEXT instead")
    return payload
