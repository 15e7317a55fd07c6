"""Checks and encodes what is published, and gives it to the broker. Knows no subscribers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from falcon import WebSocketPayloadType

from .broker import Payload
from .checks import check_id, check_name
from .codec import Media
from .dispatcher import Dispatcher
from .position import Position
from .subscription import Subscription

__all__ = ("Publishing",)

_BATCH_MESSAGES = 256
_BATCH_BYTES = 256 * 1024
"""What ``publish_many()`` gives the broker at once, so that other work of this process is not held up."""


class Publishing:
    """Publishes; the arguments are those of ``Hub.publish()``.

    Args:
        media: Serializes messages.
    """

    def __init__(self, media: Media) -> None:
        self._media = media

    async def publish(
        self,
        dispatcher: Dispatcher,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType,
        key: str | None,
        exclude: Subscription | str | None,
        keep: bool,
    ) -> Position | None:
        """Publish one message, and return its position if it is kept."""
        dispatcher.check_loop()
        check_name("room", room)
        _check_key(key)
        payload = self._media.payload(media, payload_type)
        size = _size(payload)
        if room in dispatcher.rooms:
            await dispatcher.yield_to_loop(size)
        elif keep:
            dispatcher.use(room)
        excluded = None if exclude is None else _id_of(exclude)
        position = None
        if not keep:
            await dispatcher.broker.broadcast(room, payload, key=key, exclude=excluded)
        elif excluded is None:
            position = await dispatcher.broker.publish(room, payload, key=key)
        else:
            position = await dispatcher.broker.publish(room, payload, key=key, exclude=excluded)
        dispatcher.stats.published += 1
        return position

    async def publish_many(
        self,
        dispatcher: Dispatcher,
        room: str,
        messages: Iterable[object],
        payload_type: WebSocketPayloadType,
        key: Callable[[Any], str | None] | None,
        exclude: Subscription | str | None,
    ) -> list[Position]:
        """Publish several messages in batches, and return their positions."""
        dispatcher.check_loop()
        check_name("room", room)
        excluded = None if exclude is None else _id_of(exclude)
        batches: list[list[tuple[Payload, str | None]]] = []
        full = True
        for media in messages:
            payload = self._media.payload(media, payload_type)
            message_key = None if key is None else key(media)
            _check_key(message_key)
            if full:
                batches.append([])
                size = 0
            batches[-1].append((payload, message_key))
            size += _size(payload)
            full = len(batches[-1]) >= _BATCH_MESSAGES or size >= _BATCH_BYTES
        if batches:
            dispatcher.use(room)
        positions: list[Position] = []
        for batch in batches:
            if room in dispatcher.rooms:
                await dispatcher.yield_to_loop(sum(len(payload) for payload, _ in batch))
            positions += await dispatcher.broker.publish_many(room, batch, exclude=excluded)
            dispatcher.stats.published += len(batch)
        return positions


def _check_key(key: str | None) -> None:
    if key is None or (isinstance(key, str) and key.isascii()):
        return
    if not isinstance(key, str):
        raise TypeError(f"key is a str, not {type(key).__name__}.")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"key cannot be sent as UTF-8: {error.reason}.") from error


def _id_of(subscription: Subscription | str) -> str:
    if isinstance(subscription, Subscription):
        return subscription.id
    check_id("exclude", subscription)
    return subscription


def _size(payload: Payload) -> int:
    if isinstance(payload, bytes) or payload.isascii():
        return len(payload)
    try:
        return len(payload.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"The message cannot be sent as TEXT, which is UTF-8: {error.reason}.") from error
