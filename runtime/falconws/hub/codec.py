"""Payload to media and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from falcon import WebSocketPayloadType

from falconws.media import JSONHandlerWS, MessagePackHandlerWS

from .broker import Payload

__all__ = ("Media",)


class Media:
    """Objects to and from payloads, by the media handlers of the hub."""

    def __init__(self, handlers: Mapping[WebSocketPayloadType, Any] | None) -> None:
        given = {} if handlers is None else handlers
        _check_handlers(given)
        self._text: Any = given.get(WebSocketPayloadType.TEXT) or JSONHandlerWS()
        self._binary: Any = given.get(WebSocketPayloadType.BINARY)

    def payload(self, media: object, payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT) -> Payload:
        """Return text and bytes as they are, and anything else serialized."""
        if isinstance(media, str | bytes):
            return media
        if isinstance(media, bytearray | memoryview):
            return bytes(media)
        if payload_type is WebSocketPayloadType.BINARY:
            return bytes(self._binary_handler().serialize(media))
        text: str = self._text.serialize(media)
        return text

    def decode(self, payload: Payload) -> Any:
        """Return the object that *payload* stands for; a ValueError says that it stands for none."""
        handler = self._text if isinstance(payload, str) else self._binary_handler()
        return handler.deserialize(payload)

    def _binary_handler(self) -> Any:
        if self._binary is None:
            # It imports msgpack, which few need here.
            self._binary = MessagePackHandlerWS()
        return self._binary


def _check_handlers(handlers: object) -> None:
    if not isinstance(handlers, Mapping):
        kind = type(handlers).__name__
        raise TypeError(f"media_handlers is a mapping, such as app.ws_options.media_handlers, not {kind}.")
    for payload_type, handler in handlers.items():
        if not isinstance(payload_type, WebSocketPayloadType):
            raise TypeError(f"media_handlers has a handler for each WebSocketPayloadType, not for {payload_type!r}.")
        methods = [getattr(handler, name, None) for name in ("serialize", "deserialize")]
        if isinstance(handler, type) or not all(map(callable, methods)):
            raise TypeError(f"media_handlers has objects with serialize() and deserialize(), not {handler!r}.")
