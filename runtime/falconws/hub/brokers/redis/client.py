"""Where the Redis broker's scripts run: one server, or the server of a cluster that has the room.

Owns the lines, and that a script is tried again until it answers or the time is over. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from falconws.hub.broker import BrokerUnavailable
from falconws.hub.concurrency import backoff

from .connection import Argument, Line, explain
from .slots import RedisCluster
from .url import RedisUrl, load_redis

__all__ = ("RedisServer",)

_CLOSE_S = 1.0
_ONLY_PLACE = ""


class RedisServer:
    """One server or a cluster.

    A *place* is where deliveries and answers come from: "host:port" of each primary of a cluster, one that has no name
    otherwise.

    Args:
        url: Where to.
        timeout_s: Within which each call ends.
    """

    def __init__(self, url: RedisUrl, timeout_s: float) -> None:
        self.name = url.name
        self._url = url
        self._timeout_s = timeout_s
        self._errors = load_redis().exceptions
        self._open = False
        self._cluster: RedisCluster | None = None
        self._lines: dict[str, Line] = {}

    def open(self) -> None:
        """Begin; connections are made when they are needed."""
        self._open = True
        self._cluster = RedisCluster(self._url.seeds, self._line) if self._url.cluster else None

    async def close(self) -> None:
        """Cut all connections; what is under way ends with an error."""
        self._open = False
        ended = [line.close() for line in self._lines.values()]
        self._lines.clear()
        if ended:
            await asyncio.wait(ended, timeout=_CLOSE_S)

    # Places

    async def places(self) -> Sequence[str]:
        """Return where deliveries come from, as the cluster tells now."""
        if self._cluster is None:
            return [_ONLY_PLACE]
        await self._cluster.ask()
        return self._cluster.places()

    def place(self, key: str) -> str:
        """Return where *key* belongs, by what is known of the cluster."""
        return _ONLY_PLACE if self._cluster is None else self._cluster.place(key)

    def connection(self, place: str) -> Any:
        """Return a new connection of redis-py's to *place*, not opened yet."""
        return self._url.connection(place, timeout_s=self._timeout_s)

    # Calls

    async def ping(self) -> None:
        """Return when every server has answered; raise what is wrong."""
        places = [_ONLY_PLACE] if self._cluster is None else self._cluster.places()
        async with asyncio.timeout(self._timeout_s):
            await asyncio.gather(*(self._line(place).execute("PING") for place in places))

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Return the answer of *script*. It may be carried out more than once, if the first answer is lost.

        Raises:
            BrokerUnavailable: There was none within the timeout, or the server refuses.
        """
        return await self.repeat(script, keys, lambda _: arguments)

    async def repeat(
        self, script: str, keys: Sequence[str], arguments: Callable[[float | None], Sequence[Argument]]
    ) -> Any:
        """Do the same for a script that has to know of earlier attempts.

        *arguments* is called for each one, with the seconds since the first began; None for the first.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + self._timeout_s
        attempt = arguments(None)
        pauses = backoff(longest_s=1.0)
        while True:
            try:
                return await self._attempt(script, keys, attempt, min(deadline, loop.time() + self._timeout_s / 2))
            except Exception as error:
                pause = next(pauses)
                if not self._may_recover(error) or loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self.name}: {explain(error)}") from error
            await asyncio.sleep(pause)
            attempt = arguments(loop.time() - began)

    async def _attempt(self, script: str, keys: Sequence[str], arguments: Sequence[Argument], until: float) -> Any:
        errors = self._errors
        rest = (len(keys), *keys, *arguments)
        line = None
        try:
            async with asyncio.timeout_at(until):
                if self._cluster is not None:
                    await self._cluster.ask_in_doubt()
                place = self.place(keys[0])
                line = self._line(place)
                try:
                    return await line.execute("EVALSHA", _digest(script), *rest)
                except errors.NoScriptError:
                    return await line.execute("EVAL", script, *rest)
                except errors.MovedError:
                    # An AskError by its class; this one needs another table.
                    raise
                except errors.AskError as error:
                    # The slot is on the move, and this room has gone already, or is not there yet.
                    line = self._line(f"{error.host or place.rpartition(':')[0]}:{error.port}")
                    return await line.execute("EVAL", script, *rest, asking=True)
        except Exception as error:
            # Another server may be responsible now, also one at the same address.
            if line is not None and isinstance(error, TimeoutError | errors.ReadOnlyError):
                line.close()
            if self._cluster is not None:
                self._cluster.doubt()
            raise

    def _line(self, place: str) -> Line:
        if not self._open:
            raise ConnectionError("not started")
        line = self._lines.get(place)
        if line is not None and line.silent:
            line.close()
        if line is None or line.ended:
            line = self._lines[place] = Line(self.connection(place), self._timeout_s)
        return line

    def _may_recover(self, error: Exception) -> bool:
        """Whether another attempt makes sense; it does not where the server has answered, and refuses."""
        errors = self._errors
        if isinstance(error, errors.AuthenticationError | errors.AuthorizationError):
            return False
        if isinstance(error, errors.ResponseError):
            passing = (errors.ReadOnlyError, errors.ClusterDownError, errors.TryAgainError, errors.MasterDownError)
            return isinstance(error, (*passing, errors.MovedError, errors.AskError))
        return self._open


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
