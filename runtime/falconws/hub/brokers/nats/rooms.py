"""The rooms that this process follows: their subscriptions, and checks that no delivery is missing.

The next message reveals a loss. Where none comes, the rooms are compared with the stream now and then. A room
in which nothing is published for long gets an anchor (see ``broker``). Knows nothing of calls, retries or presence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from .codec import offset_of, token_of
from .cursor import RoomCursor, SubjectPosition
from .hub_streams import HubStreams
from .session import RefusedError

__all__ = ("FollowedRooms",)

_ROOMS_PER_CHECK = 50
"""The number of rooms that are checked every ``timeout_s``; each costs one request."""

_ANCHORS_AT_A_TIME = 16


class FollowedRooms:
    """The cursors of the rooms, by the token of their subject.

    Args:
        prefix: The beginning of the subjects.
        timeout_s: Bounds ending a subscription.
        on_message: Called with each message of the client library.
    """

    def __init__(self, prefix: str, timeout_s: float, on_message: Callable[[Any], Awaitable[None]]) -> None:
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._cursors: dict[str, RoomCursor] = {}
        self._unchecked: list[str] = []
        self.refused: dict[str, str] = {}
        """The rooms that have lost their permission since the last session, each with the reason."""

    def get(self, token: str) -> RoomCursor | None:
        return self._cursors.get(token)

    def add(self, room: str) -> RoomCursor:
        """Return the new cursor of *room*."""
        cursor = self._cursors[token_of(room)] = RoomCursor(room)
        return cursor

    def clear(self) -> None:
        """Forget all rooms; their session has ended."""
        self._cursors.clear()

    def invalidate(self) -> None:
        """Record that deliveries of any room may have been missed."""
        for cursor in self._cursors.values():
            cursor.last_sequence = 0

    async def subscribe(self, streams: HubStreams, token: str, cursor: RoomCursor) -> None:
        """Subscribe a room in the session of *streams*."""
        cursor.begin_session(streams.epoch)
        cursor.subscription = await streams.session.subscribe(self.live_subject(token), self._on_message)
        # Only now: a subscription that was refused has to be made again.
        cursor.streams = streams
        if self._cursors.get(token) is not cursor:
            # The room was left meanwhile, when there was no subscription to end.
            await self._unsubscribe(cursor)

    def live_subject(self, token: str) -> str:
        """Return the subject on which everything of a room is delivered."""
        return f"{self._prefix}.live.*.{token}.*"

    async def subscribe_all(self, streams: HubStreams) -> dict[str, str]:
        """Subscribe all rooms in a new session; return the subjects that the server refuses, each with the reason."""
        self.refused.clear()
        refused: dict[str, str] = {}
        while waiting := [item for item in self._cursors.items() if item[1].streams is not streams]:
            for token, cursor in waiting:
                await self.subscribe(streams, token, cursor)
            for token, _ in waiting:
                with suppress(RefusedError):
                    await streams.rooms.reach_leader(streams.subject(token))
                    break
            for token, _ in waiting:
                try:
                    streams.session.confirm(self.live_subject(token))
                except RefusedError as error:
                    refused[self.live_subject(token)] = str(error)
        return refused

    async def remove(self, token: str) -> None:
        """Forget a room, and end its subscription."""
        cursor = self._cursors.pop(token, None)
        if cursor is not None:
            await self._unsubscribe(cursor)

    async def refuse(self, subject: str, reason: str) -> str | None:
        """Forget the room that is delivered on *subject*, because the server refuses it; return its name, if any."""
        token = subject.split(".")[-2]
        cursor = self._cursors.get(token)
        if cursor is None or subject != self.live_subject(token):
            return None
        self.refused[cursor.name] = reason
        await self.remove(token)
        return cursor.name

    async def _unsubscribe(self, cursor: RoomCursor) -> None:
        subscription, cursor.subscription = cursor.subscription, None
        if subscription is not None:
            # A subscription of a session that has ended raises.
            with suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    await subscription.unsubscribe()

    async def find_undelivered(self, streams: HubStreams) -> bool:
        """Check some rooms, others at each call; return whether the stream has a message that was not delivered."""
        found = False
        self._unchecked = self._unchecked or list(self._cursors)
        for token in self._unchecked[-_ROOMS_PER_CHECK:]:
            newest = await streams.rooms.last(streams.subject(token))
            cursor = self._cursors.get(token)
            if newest is None or cursor is None:
                continue
            position = SubjectPosition(newest.sequence, offset_of(newest.headers, newest.sequence), newest.stamp)
            if cursor.lacks(position.offset):
                # It may be on its way; the leader's next answer comes behind it.
                await streams.rooms.reach_leader(streams.subject(token))
                if cursor.lacks(position.offset):
                    cursor.advance_to(streams.epoch, position)
                    found = True
        del self._unchecked[-_ROOMS_PER_CHECK:]
        return found

    async def anchor_forever(self, anchor: Callable[[str], Awaitable[None]], round_s: float) -> None:
        """Call *anchor* with the token of each room, round after round of *round_s* seconds."""
        while True:
            tokens = list(self._cursors)
            chunks = [tokens[i : i + _ANCHORS_AT_A_TIME] for i in range(0, len(tokens), _ANCHORS_AT_A_TIME)] or [[]]
            for chunk in chunks:
                # The chunks are spread over the round, unless they take longer.
                pause = asyncio.sleep(round_s / len(chunks))
                await asyncio.gather(pause, *map(anchor, chunk))
