"""Payloads to objects and back, by media handlers. Knows neither rooms nor events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from falcon import WebSocketPayloadType

from falconws.media import JSONHandlerWS, MessagePackHandlerWS

from .broker import Payload

__all__ = ("Media",)


class Media:
    """Encodes and decodes payloads with the media handlers of the hub."""

    def __init__(self, handlers: Mapping[WebSocketPayloadType, Any] | None) -> None:
        given = {} if handlers is None else handlers
        _check_handlers(given)
        self._text: Any = given.get(WebSocketPayloadType.TEXT) or JSONHandlerWS()
        self._binary: Any = given.get(WebSocketPayloadType.BINARY)

    def payload(self, media: object, payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT) -> Payload:
        """Return text and bytes unchanged, and anything else serialized."""
        if isinstance(media, str | bytes):
            return media
        if isinstance(media, bytearray | memoryview):
            return bytes(media)
        if payload_type is WebSocketPayloadType.BINARY:
            return bytes(self._binary_handler().serialize(media))
        text: str = self._text.serialize(media)
        return text

    def decode(self, payload: Payload) -> Any:
        """Return the object in *payload*; raise ValueError if it cannot be decoded."""
        handler = self._text if isinstance(payload, str) else self._binary_handler()
        return handler.deserialize(payload)

    def _binary_handler(self) -> Any:
        if self._binary is None:
            # Made late: it imports msgpack.
            self._binary = MessagePackHandlerWS()
        return self._binary


def _check_handlers(handlers: object) -> None:
    if not isinstance(handlers, Mapping):
        kind = type(handlers).__name__
        raise TypeError(f"media_handlers is a mapping, such as app.ws_options.media_handlers, not {kind}.")
    for payload_type, handler in handlers.items():
        if not isinstance(payload_type, WebSocketPayloadType):
            raise TypeError(f"The keys of media_handlers are of type WebSocketPayloadType; {payload_type!r} is not.")
        methods = [getattr(handler, name, None) for name in ("serialize", "deserialize")]
        if isinstance(handler, type) or not all(map(callable, methods)):
            raise TypeError(
                f"A handler in media_handlers is an object with serialize() and deserialize(); {handler!r} is not."
            )
