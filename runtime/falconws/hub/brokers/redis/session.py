"""One session of deliveries: a pub/sub connection to each server, and the channels on them.

A session lives once. It ends as soon as one of its connections does or the cluster changes, so that no loss goes
unnoticed. It does not reconnect. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from contextlib import suppress

from .pubsub import PubSub
from .redis_client import RedisClient

__all__ = ("RedisSession",)


class _Request:
    """Channels that were requested together."""

    __slots__ = ("confirmed", "pubsub")

    def __init__(self, pubsub: PubSub) -> None:
        self.pubsub = pubsub
        self.confirmed = False
        """Whether the server delivers them."""


class RedisSession:
    """Pub/sub connections that are used until the first of them ends.

    Args:
        client: Knows the servers.
        timeout_s: Bounds connecting; also how often each server is pinged.
        on_message: Called with channel and data; must not raise.
    """

    def __init__(self, client: RedisClient, timeout_s: float, on_message: Callable[[bytes, bytes], None]) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._pubsubs: dict[str, PubSub] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._requests: dict[bytes, _Request] = {}
        self.refused: dict[bytes, str] = {}
        """The channels that a server refuses to deliver, each with the reason."""

    @property
    def channels(self) -> Set[bytes]:
        """The channels that were requested."""
        return self._requests.keys()

    def follows(self, channel: bytes) -> bool:
        """Whether the server delivers the messages of *channel*."""
        request = self._requests.get(channel)
        return request is not None and request.confirmed and channel not in self.refused

    async def open(self) -> None:
        """Connect to all servers; raise the first error."""
        async with asyncio.timeout(self._timeout_s):
            nodes = await self._client.nodes()
        for node in nodes:
            pubsub = self._pubsubs[node] = PubSub(self._client.connection(node), self._timeout_s, self._on_message)
            await pubsub.open()
            self._tasks.append(asyncio.create_task(self._run(pubsub)))

    async def wait(self) -> str:
        """Return the reason when the session has ended."""
        while True:
            await asyncio.wait({self._reason}, timeout=self._timeout_s)
            if self._reason.done():
                return self._reason.result()
            # A primary that is cut off from its cluster answers pings, and does not report that others have its rooms.
            with suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    if self._pubsubs.keys() != set(await self._client.nodes()):
                        self._end("other servers of the cluster have the rooms now")

    async def close(self) -> None:
        """Cut the connections, whatever state they are in."""
        self._end("the session has ended")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pubsub in self._pubsubs.values():
            await pubsub.close()

    async def subscribe(self, channels: Iterable[bytes]) -> None:
        """Return when the servers deliver the messages of *channels*, except those in ``refused``.

        Raises:
            ConnectionError: The session has ended, or has to end because the cluster has changed.
            TimeoutError: A server did not answer.
        """
        by_node: dict[str, list[bytes]] = {}
        for channel in channels:
            by_node.setdefault(self._client.node(channel.decode()), []).append(channel)
        if by_node.keys() - self._pubsubs.keys():
            self._end("the cluster has another server than before")
        if self._reason.done():
            raise ConnectionError(self._reason.result())
        for node, there in by_node.items():
            request = _Request(self._pubsubs[node])
            # Before the answer, which a cancelled caller does not see: a requested channel has to be unsubscribed.
            self._requests.update(dict.fromkeys(there, request))
            await request.pubsub.subscribe(there)
            request.confirmed = True
            for channel in request.pubsub.refused.keys() & set(there):
                self.refused[channel] = request.pubsub.refused[channel]

    def unsubscribe(self, channel: bytes) -> None:
        """Request no more messages of *channel*."""
        request = self._requests.pop(channel, None)
        if self.refused.pop(channel, None) is None and request is not None:
            request.pubsub.unsubscribe(channel)

    async def _run(self, pubsub: PubSub) -> None:
        self._end(await pubsub.run())

    def _end(self, reason: str) -> None:
        if not self._reason.done():
            self._reason.set_result(reason)
