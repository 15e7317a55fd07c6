"""One session of deliveries: a feed from the server, or from each primary of a cluster, and the channels on them.

A session lives once, and ends as soon as one of its feeds does or the cluster has changed: nothing is missed without
being noticed. Beginning another is not its business. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from contextlib import suppress

from .client import RedisServer
from .pubsub import Feed

__all__ = ("RedisSession",)


class _Asked:
    """Channels that were asked for together."""

    __slots__ = ("come", "feed")

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.come = False
        """Whether the server has begun to deliver them."""


class RedisSession:
    """Feeds that are used until the first of them ends.

    Args:
        server: Where to.
        timeout_s: Bounds connecting; also how often each server is asked whether it is there.
        on_message: Takes channel and data. Must not raise.
    """

    def __init__(self, server: RedisServer, timeout_s: float, on_message: Callable[[bytes, bytes], None]) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._feeds: dict[str, Feed] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._channels: dict[bytes, _Asked] = {}

    @property
    def channels(self) -> Set[bytes]:
        """Those that were asked for."""
        return self._channels.keys()

    def follows(self, channel: bytes) -> bool:
        """Whether the messages of *channel* come."""
        asked = self._channels.get(channel)
        return asked is not None and asked.come

    async def open(self) -> None:
        """Connect to all servers; raise what went wrong."""
        async with asyncio.timeout(self._timeout_s):
            places = await self._server.places()
        for place in places:
            feed = self._feeds[place] = Feed(self._server.connection(place), self._timeout_s, self._on_message)
            await feed.open()
            self._tasks.append(asyncio.create_task(self._run(feed)))

    async def wait(self) -> str:
        """Return when the session has ended, with the reason."""
        while True:
            await asyncio.wait({self._reason}, timeout=self._timeout_s)
            if self._reason.done():
                return self._reason.result()
            # A primary that is cut off from its cluster answers pings, and never tells that others have its rooms.
            with suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    if self._feeds.keys() != set(await self._server.places()):
                        self._end("other servers of the cluster have the rooms now")

    async def close(self) -> None:
        """Cut the connections, whatever state they are in."""
        self._end("the session has ended")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for feed in self._feeds.values():
            await feed.close()

    async def subscribe(self, channels: Iterable[bytes]) -> None:
        """Return when the messages of *channels* come.

        Raises:
            ConnectionError: The session has ended, or must: the cluster has changed.
            TimeoutError: A server did not answer.
        """
        by_place: dict[str, list[bytes]] = {}
        for channel in channels:
            by_place.setdefault(self._server.place(channel.decode()), []).append(channel)
        if by_place.keys() - self._feeds.keys():
            self._end("the cluster has another server than before")
        if self._reason.done():
            raise ConnectionError(self._reason.result())
        for place, there in by_place.items():
            asked = _Asked(self._feeds[place])
            # Before the answer, which nobody may wait for any more: what was asked for has to be let go of again.
            self._channels.update(dict.fromkeys(there, asked))
            await asked.feed.subscribe(there)
            asked.come = True

    def unsubscribe(self, channel: bytes) -> None:
        """Ask for no more of *channel*, whether its messages come already or not."""
        asked = self._channels.pop(channel, None)
        if asked is not None:
            asked.feed.unsubscribe(channel)

    async def _run(self, feed: Feed) -> None:
        self._end(await feed.run())

    def _end(self, reason: str) -> None:
        if not self._reason.done():
            self._reason.set_result(reason)
