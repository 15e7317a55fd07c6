"""A loop that follows rooms: ``async for message in hub.listen(...)``, for code without a connection.

Must not know WebSockets, nor how a message gets into the backlog.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Self

from .broadcast import AS_EVENT
from .broker import Broker, BrokerRefused, BrokerUnavailable
from .concurrency import backoff
from .events import Gap, Message
from .policy import Policy
from .position import Position
from .subscriber import Subscriber, SubscriberHost
from .subscriber_view import SubscriberView, since_by_room

__all__ = ("Listener", "ListenerTooSlow")


class ListenerTooSlow(Exception):
    """The loop over ``hub.listen()`` does not keep up, and its policy does not allow to drop messages."""


class _QueueSubscriber(Subscriber):
    """A subscriber whose backlog is read by a loop."""

    __slots__ = ("_refusal", "_too_slow", "_waiter")

    def __init__(self, host: SubscriberHost, policy: Policy) -> None:
        super().__init__(host, policy, AS_EVENT)
        self._waiter: asyncio.Future[None] | None = None
        self._too_slow = False
        self._refusal: BrokerRefused | None = None

    @property
    def client(self) -> str:
        """The name of the listener in logs."""
        return "listener"

    async def next(self) -> Message | Gap | None:
        """Wait for the next message or gap and return it; None at the end."""
        while True:
            if self._refusal is not None:
                raise self._refusal
            if self._too_slow:
                raise ListenerTooSlow(
                    f"The loop does not keep up: policy {self._policy.name}, {self.dropped.total()} messages lost."
                )
            if self.is_over:
                return None
            if self._backlog and not self._joining:
                event = self._backlog.pop(self._host.loop.time()).event
                self._host.stats.delivered += isinstance(event, Message)
                # Members that join or leave are not reported here.
                if isinstance(event, Message | Gap):
                    return event
                continue
            if self._waiter is not None:
                raise RuntimeError("Another loop reads from this listener already: use a listener for each loop.")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def detach(self) -> None:
        super().detach()
        self._wake()

    def _flush(self) -> None:
        if self._backlog and not self._joining:
            self._wake()

    def _evict(self, reason: str, error: BrokerRefused | None = None) -> None:
        self._refusal = error
        self._too_slow = error is None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Listener(SubscriberView):
    """The messages of one or several rooms, for ``async for``; made by ``Hub.listen()``.

    Listening begins with the first step of the loop; to begin at a known moment, use
    ``async with hub.listen(...) as messages:``. It ends with the loop, the block, or the hub.
    """

    __slots__ = ("_broker", "_claimant", "_group", "_since")

    _subscriber: _QueueSubscriber

    def __init__(
        self,
        host: SubscriberHost,
        rooms: tuple[str, ...],
        *,
        policy: Policy,
        since: Position | Mapping[str, Position] | None,
        group: str | None,
        broker: Broker,
    ) -> None:
        if not rooms:
            raise ValueError("hub.listen() takes the name of a room, or of several.")
        self._subscriber = _QueueSubscriber(host, policy)
        self._group = group
        self._broker = broker
        self._claimant = secrets.token_hex(8)
        self._since: dict[str, Position | None] | None = since_by_room(rooms, since)

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
            RuntimeError: It has begun before, or the hub does not run.
        """
        since, self._since = self._since, None
        if since is None:
            raise RuntimeError("A listener begins once: call hub.listen() again.")
        try:
            for room, position in since.items():
                await self._subscriber.join(room, position)
        except BaseException:
            self._subscriber.detach()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._subscriber.detach()

    async def __aiter__(self) -> AsyncGenerator[Message | Gap, None]:
        """Iterate over messages, and gaps in their place, until the hub stops.

        Raises:
            ListenerTooSlow: The policy is ``disconnect``, and the loop does not keep up.
            BrokerRefused: The broker refuses a room, now or from now on.
            BrokerUnavailable: The broker cannot be reached.
        """
        # A generator, so that a loop that ends by `break` or an error stops listening.
        if self._since is None:
            while (event := await self._next()) is not None:
                yield event
            return
        async with self:
            while (event := await self._next()) is not None:
                yield event

    async def _next(self) -> Message | Gap | None:
        while True:
            event = await self._subscriber.next()
            if self._group is None or not isinstance(event, Message) or await self._claims(event, self._group):
                return event

    async def _claims(self, message: Message, group: str) -> bool:
        """Return whether this listener, and no other of its group, processes *message*."""
        delays = backoff()
        while not self._subscriber.is_over:
            try:
                return await self._broker.claim(message.room, group, message.position, self._claimant)
            except BrokerRefused:
                raise
            except BrokerUnavailable:
                await asyncio.sleep(next(delays))
        return False
