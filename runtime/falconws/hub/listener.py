"""A loop that follows rooms: ``async for message in hub.listen(...)``, for code that has no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Self

from .broadcast import AS_EVENT
from .events import Gap, Message
from .policy import Policy
from .position import Position
from .subscriber import HubSide, Subscriber, since_for

__all__ = ("Listener", "ListenerTooSlow")


class ListenerTooSlow(Exception):  # noqa: N818 (as BrokerUnavailable)
    """The loop over ``hub.listen()`` has not kept up, and its policy does not allow to drop messages."""


class Listener(Subscriber):
    """The messages of one or several rooms, for ``async for``; made by ``Hub.listen()``.

    Listening begins with the first step of the loop, or, when it has to begin at a known moment, with
    ``async with hub.listen(...) as messages:``. It ends with the loop, the block, or the hub.
    """

    __slots__ = ("_since", "_too_slow", "_waiter")

    def __init__(
        self,
        hub: HubSide,
        rooms: tuple[str, ...],
        *,
        policy: Policy,
        since: Position | Mapping[str, Position] | None,
    ) -> None:
        if not rooms:
            raise ValueError("hub.listen() takes the name of a room, or of several.")
        super().__init__(hub, policy, AS_EVENT)
        self._since: dict[str, Position | None] | None = since_for(rooms, since)
        self._waiter: asyncio.Future[None] | None = None
        self._too_slow = False

    @property
    def client(self) -> str:
        """What stands for it in logs."""
        return "listener"

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
                await self._join(room, position)
        except BaseException:
            self._detach()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._detach()

    async def __aiter__(self) -> AsyncGenerator[Message | Gap, None]:
        """Iterate over messages, and gaps in their place, until the hub stops.

        Raises:
            ListenerTooSlow: The policy is ``disconnect``, and the loop has not kept up.
            BrokerUnavailable: The broker cannot be reached.
        """
        # A generator, so that a loop that is left, by `break` or an error, stops listening.
        if self._since is None:
            while (event := await self._next()) is not None:
                yield event
            return
        async with self:
            while (event := await self._next()) is not None:
                yield event

    async def _next(self) -> Message | Gap | None:
        while True:
            if self._too_slow:
                raise ListenerTooSlow(
                    f"The loop has not kept up: policy {self._policy.name}, {sum(self.dropped.values())} messages lost."
                )
            if self._over:
                return None
            if self._backlog and not self._joining:
                event = self._backlog.pop().event
                # Who came and who left are not among them, and would be told by ``subscribe()``.
                if isinstance(event, Message | Gap):
                    return event
                continue
            if self._waiter is not None:
                raise RuntimeError("Another loop waits for messages of this listener already: one loop for each.")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _detach(self) -> None:
        super()._detach()
        self._wake()

    def _flush(self) -> None:
        if self._backlog and not self._joining:
            self._wake()

    def _evict(self, reason: str) -> None:
        self._too_slow = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
