"""The clients of the soak test: each accounts for every message of its room."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

KEYS = 10
_RECEIVE_BUFFER_BYTES = 4096
_PAUSE_S = 0.1
_NOTES = 30
"""How many of the last things that happened to a visitor an error shows."""


class Room:
    """A room, and what is known of its messages, which are numbered from 1."""

    def __init__(self, name: str, broker: str) -> None:
        self.name = name
        self.broker = broker
        self.published = 0
        self.uncertain: set[int] = set()
        """Those of which the publisher was told that they may not have been published."""
        self.final: int | None = None
        """The number of the last one, once it is about to be published."""

    def __repr__(self) -> str:
        return f"room {self.name} over {self.broker}, of which {sorted(self.uncertain)} are uncertain,"


class MiscountError(AssertionError):
    """A message was lost without being told, came twice, or came out of order."""


class Visitor:
    """A client that must not miss messages. It counts across its connections, from its first message on.

    Args:
        room: The room that it follows.
        name: Its name as a member.
        url: Returns the address of one of the processes.
        slow: Whether it reads in waves, too slowly.
        restless: Whether it leaves and comes back.
    """

    policy = "disconnect"

    def __init__(
        self, room: Room, name: str, url: Callable[[], str], *, slow: bool = False, restless: bool = False
    ) -> None:
        self.room = room
        self.name = name
        self._url = url
        self._slow = slow
        self._restless = restless
        self._position: str | None = None
        self._last: int | None = None
        self._is_told = False
        """Whether a gap was told since the last message."""
        self.received = 0
        self.told = 0
        """Messages that are missing, and were told as a gap."""
        self.dropped = 0
        """Messages that the policy has dropped."""
        self.connections = 0
        """On which the room was joined."""
        self._notes: deque[str] = deque(maxlen=_NOTES)

    async def run(self) -> None:
        """Follow the room until its last message has arrived."""
        while not self._is_done:
            try:
                await self._visit()
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as error:
                self.note(f"lost: {error}")
                await asyncio.sleep(_PAUSE_S)
            if self._restless and random.random() < 0.1 and self.room.final is None:
                # For so long that the history does not reach back.
                await asyncio.sleep(random.uniform(2.0, 8.0))

    @property
    def _has_all(self) -> bool:
        return self.room.final is not None and self._last is not None and self._last >= self.room.final

    @property
    def _is_done(self) -> bool:
        return self._has_all

    async def _visit(self) -> None:
        base = self._url()
        host, _, port = base.removeprefix("http://").partition(":")
        since = f"&since={self._position}" if self._position else ""
        query = f"policy={self.policy}&member={self.name}{since}{'&slow=true' if self._slow else ''}"
        url = f"{base.replace('http', 'ws', 1)}/rooms/{self.room.name}?{query}"
        self.note(f"connects to {base} at {self._position}")
        with socket.socket() as sock:
            if self._slow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
            async with connect(url, sock=sock, max_queue=1 if self._slow else 64, compression=None) as client:
                await self._read(client)

    async def _read(self, client: ClientConnection) -> None:
        leave_after = random.randint(5, 150) if self._restless else None
        self._take(json.loads(await client.recv()))
        self.connections += 1
        count = 0
        while not self._has_all:
            self._take(json.loads(await client.recv()))
            count += 1
            if count == leave_after and self.room.final is None:
                if random.random() < 0.5:
                    client.transport.abort()
                return
            if self._slow and count % 30 == 0 and self.room.final is None:
                await asyncio.sleep(random.uniform(0.5, 2.5))
        await self._finish(client)

    async def _finish(self, client: ClientConnection) -> None:
        pass

    def note(self, what: str) -> None:
        """Keep *what* has happened, for an error."""
        self._notes.append(f"{time.monotonic():.3f} connection {self.connections} {what}")

    def _error(self, problem: str) -> MiscountError:
        return MiscountError("\n  ".join([f"{self} {problem}; what came before:", *self._notes]))

    def _take(self, event: dict[str, Any]) -> None:
        self.note(str({**event, "text": event["text"].rstrip(".")} if "text" in event else event))
        if event.get("gapped") or "gap" in event:
            self._is_told = True
        if "text" in event:
            number = int(event["text"].split()[0])
            self._count(number)
            self.received += 1
        if "text" in event or "gap" in event or self._position is None:
            self._position = event["position"]

    def _count(self, number: int) -> None:
        last = number - 1 if self._last is None else self._last
        if number <= last:
            raise self._error(f"got {number} after {last}")
        missing = sum(other not in self.room.uncertain for other in range(last + 1, number))
        if missing and not self._is_told:
            raise self._error(f"got {number} after {last}, and was told of no gap")
        self.told += missing
        self._is_told = False
        self._last = number

    def check(self) -> None:
        """Raise MiscountError unless each message has arrived, or is missing for a reason."""
        if not self._is_done:
            raise self._error("has not got the last message")

    def __repr__(self) -> str:
        return f"{self.name} of {self.room} with policy {self.policy}"


class Dropper(Visitor):
    """A slow client whose policy drops messages; it follows its room before the first message is published."""

    def __init__(self, room: Room, name: str, url: Callable[[], str], policy: str) -> None:
        super().__init__(room, name, url, slow=True)
        self.policy = policy
        self._numbers: set[int] = set()
        self._was_told = False
        self._has_reported = False

    @property
    def _is_done(self) -> bool:
        return self._has_reported and self._has_all

    def _count(self, number: int) -> None:
        if number in self._numbers:
            raise self._error(f"got {number} twice")
        self._numbers.add(number)
        # With conflate, a newer message has the place of the older one with its key.
        before = [self._last] if self.policy == "drop_oldest" else []
        if any(other is not None and other > number for other in before):
            raise self._error(f"got {number} after {self._last}")
        self._was_told |= self._is_told
        self._last = max(number, self._last or 0)

    async def _finish(self, client: ClientConnection) -> None:
        await client.send(json.dumps("what was dropped?"))
        while "dropped" not in (event := json.loads(await client.recv())):
            self._take(event)
        self.dropped = event["dropped"]
        self._has_reported = True

    def check(self) -> None:
        super().check()
        assert self.room.final is not None
        expected = set(range(1, self.room.final + 1)) - self.room.uncertain
        missing = len(expected - self._numbers)
        self.told = missing - self.dropped
        if self.connections == 1 and self.told < 0:
            raise self._error(f"is missing {missing}, and the policy has dropped {self.dropped}")
        if self.connections == 1 and not self._was_told and self.told:
            raise self._error(f"is missing {missing}, of which the policy has dropped only {self.dropped}")
