"""What subscribers are sent for one event: made once for all that share an ``encode`` function.

Knows media handlers; knows neither rooms nor connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from falcon import WebSocketPayloadType

from falconws.media import JSONHandlerWS, MessagePackHandlerWS

from .broker import Payload
from .complaints import Complaints
from .events import Event, Gap, Message
from .position import Position

__all__ = ("AS_EVENT", "Encode", "Encoder", "Media", "Outgoing")

Encode = Callable[[Event], Any]
"""Makes what the client is sent of an event: ``str``, ``bytes``, an object for the TEXT media handler, or ``None``
for nothing."""


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


class Outgoing:
    """One event on its way to subscribers. Its members are read in the innermost loop, and never change."""

    __slots__ = (
        "__weakref__",
        "event",
        "is_message",
        "key",
        "payload",
        "position",
        "prepared",
        "previous",
        "room",
        "size",
    )

    def __init__(
        self,
        room: str,
        event: Event,
        payload: Payload,
        prepared: object,
        *,
        key: str | None = None,
        previous: int | None = None,
    ) -> None:
        self.room = room
        self.event = event
        self.payload = payload
        self.prepared = prepared
        """What the server's extension has made of the payload; None where it has none."""
        self.key = key
        self.previous = previous
        self.is_message = isinstance(event, Message)
        self.position: Position | None = event.position if isinstance(event, Message) else None
        self.size = len(payload) if isinstance(payload, bytes) or payload.isascii() else len(payload.encode())
        """Bytes of payload."""


def AS_EVENT(event: Event) -> None:  # noqa: N802 (a constant that happens to be a function)
    """Stand for the wish to get the event itself: ``listen()`` does."""


class Encoder:
    """Makes what subscribers are sent.

    Args:
        media: For ``encode`` functions that return an object.
    """

    def __init__(self, media: Media) -> None:
        self._media = media
        self.complaints = Complaints()
        """Of ``encode`` functions that fail."""
        self.prepare: Callable[[Payload], object] | None = None
        """The server's extension, once a connection with it has subscribed; one process has one kind of server."""

    def encode(
        self, encode: Encode | None, room: str, event: Event, *, key: str | None = None, previous: int | None = None
    ) -> Outgoing | None:
        """Return what subscribers with *encode* are sent for *event*; None for nothing."""
        payload: Payload
        if encode is None:
            if not isinstance(event, Message):
                return None
            payload = event.payload
        elif encode is AS_EVENT:
            # Who comes and who goes, ``listen()`` does not tell.
            if not isinstance(event, Message | Gap):
                return None
            payload = event.payload if isinstance(event, Message) else ""
            return Outgoing(room, event, payload, None, key=key, previous=previous)
        else:
            made = encode(event)
            if made is None:
                return None
            payload = self._media.payload(made)
        prepared = None if self.prepare is None else self.prepare(payload)
        return Outgoing(room, event, payload, prepared, key=key, previous=previous)


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
