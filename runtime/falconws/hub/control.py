"""Ends connections of members in every process: asks the other processes through a room of the broker.

Knows which subscriptions of this process have a member; knows nothing of how they send.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import Any, Protocol

from .broker import Broker, EphemeralPublication

__all__ = ("CONTROL_ROOM", "Control")

CONTROL_ROOM = "\0control"
"""The room for requests between hubs. Applications cannot use its name."""

_WAIT_S = 0.5
"""How long answers of other processes are waited for."""

_logger = logging.getLogger("falconws.hub")


class Connected(Protocol):
    """A subscription with a connection and a member."""

    @property
    def connection_id(self) -> int:
        """The same for all subscriptions of a connection."""

    def follows(self, room: str) -> bool: ...
    def disconnect(self, code: int, reason: str | None) -> None: ...


class Control:
    """The subscriptions of this process that have a member, and requests to end them.

    Args:
        broker: Carries the requests.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._members: dict[str, set[Connected]] = {}
        self._process = secrets.token_hex(8)
        self._listening: asyncio.Task[object] | None = None
        self._counts: dict[str, int] = {}
        """The connections that other processes have ended, by request."""

    async def add(self, member: str, subscription: Connected) -> None:
        """Let *subscription* be ended from any process.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        self._members.setdefault(member, set()).add(subscription)
        await self._listen()

    def remove(self, member: str, subscription: Connected) -> None:
        """Forget *subscription*."""
        subscriptions = self._members.get(member)
        if subscriptions is not None:
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._members[member]

    async def _listen(self) -> None:
        # Once, for all; a caller that is cancelled does not end it.
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._broker.subscribe(CONTROL_ROOM))
        listening = self._listening
        try:
            await asyncio.shield(listening)
        except BaseException:
            if listening.done() and self._listening is listening:
                self._listening = None
            raise

    def refused(self, reason: str) -> None:
        """Called when the broker no longer delivers the requests of other processes."""
        _logger.warning("Other processes can no longer end the connections of members here: %s", reason)
        self._listening = None

    def stop(self) -> None:
        """Stop what is in progress."""
        if self._listening is not None:
            self._listening.cancel()

    async def disconnect(self, member: str, room: str | None, code: int, reason: str | None) -> int:
        """End the connections of *member*, in all processes, and return how many there were.

        Raises:
            BrokerUnavailable: The broker cannot be reached; only connections of this process have been ended.
        """
        count = self._end(member, room, code, reason)
        await self._listen()
        request = secrets.token_hex(8)
        self._counts[request] = 0
        try:
            await self._send(request=request, member=member, room=room, code=code, reason=reason)
            await asyncio.sleep(_WAIT_S)
        finally:
            count += self._counts.pop(request)
        return count

    async def _send(self, **fields: object) -> None:
        await self._broker.broadcast(CONTROL_ROOM, json.dumps({"process": self._process, **fields}))

    def _end(self, member: str, room: str | None, code: int, reason: str | None) -> int:
        subscriptions = [s for s in self._members.get(member, ()) if room is None or s.follows(room)]
        for subscription in subscriptions:
            subscription.disconnect(code, reason)
        return len({subscription.connection_id for subscription in subscriptions})

    async def receive(self, message: EphemeralPublication) -> None:
        """Carry out the request of another process, or count its answer."""
        fields = _read(message)
        if fields.get("process") == self._process:
            return
        match fields:
            case {"answer": str(request), "count": int(count)}:
                if request in self._counts:
                    self._counts[request] += count
            case {"request": str(request), "member": str(member), "room": room, "code": int(code), "reason": reason}:
                count = self._end(member, room, code, reason)
                if count:
                    await self._send(answer=request, count=count)


def _read(message: EphemeralPublication) -> dict[str, Any]:
    try:
        fields = json.loads(message.payload)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        _logger.warning("A message of another program in the hub's control room is ignored")
        return {}
    return fields
