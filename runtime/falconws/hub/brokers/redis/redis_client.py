"""Runs the Redis broker's scripts: on one server, or on the node of a cluster that has the room.

Owns the pipelines, and retries a script until it is answered or the time is over. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from falconws.hub.broker import BrokerRefused, BrokerUnavailable
from falconws.hub.concurrency import backoff

from .resp import Argument, Pipeline, concerns_room, explain
from .slots import SentinelMap, SlotMap
from .url import RedisUrl, load_redis

__all__ = ("RedisClient",)

_CLOSE_S = 1.0
_ONLY_NODE = ""
_PASSING = ("BUSY ", "NOREPLICAS ")
"""Answers that a retry changes, of which redis-py has no class: another script runs; replicas are away."""
_CLOCKS_DIFFER_S = 1.0
"""By how much the clocks of this process and of the servers may differ."""


class RedisClient:
    """One server, or a cluster.

    A *node* is "host:port" of a primary of a cluster, or of the master that Sentinel names; a server of its own is the
    node "".

    Args:
        url: Where to connect.
        timeout_s: Bounds each call.
    """

    def __init__(self, url: RedisUrl, timeout_s: float) -> None:
        self.name = url.name
        self._url = url
        self._timeout_s = timeout_s
        self._errors = load_redis().exceptions
        self._open = False
        self._slots: SlotMap | None = None
        self._pipelines: dict[str, Pipeline] = {}

    def open(self) -> None:
        """Begin; connections are made when they are needed."""
        self._open = True
        url = self._url
        if url.cluster:
            self._slots = SlotMap(url.seeds, self._pipeline, url.reachable)
        elif url.sentinel:
            self._slots = SentinelMap(url.seeds, url.service, self._sentinel_pipeline, url.reachable)

    async def close(self) -> None:
        """Cut all connections; calls in flight end with an error."""
        self._open = False
        ended = [pipeline.close() for pipeline in self._pipelines.values()]
        self._pipelines.clear()
        if ended:
            await asyncio.wait(ended, timeout=_CLOSE_S)

    # Nodes

    async def nodes(self) -> Sequence[str]:
        """Return all nodes, as the cluster reports them now."""
        if self._slots is None:
            return [_ONLY_NODE]
        await self._slots.refresh()
        return self._slots.nodes()

    def node(self, key: str) -> str:
        """Return the node of *key*, as far as the cluster is known."""
        return _ONLY_NODE if self._slots is None else self._slots.node(key)

    def connection(self, node: str) -> Any:
        """Return a new connection of redis-py to *node* that is not open yet."""
        return self._url.connection(node, timeout_s=self._timeout_s)

    # Calls

    async def ping(self) -> None:
        """Return when every node has answered; raise the first error."""
        nodes = [_ONLY_NODE] if self._slots is None else self._slots.nodes()
        async with asyncio.timeout(self._timeout_s):
            await asyncio.gather(*(self._pipeline(node).execute("PING") for node in nodes))

    async def run(
        self, script: str, keys: Sequence[str], arguments: Sequence[Argument], *, room: str | None = None
    ) -> Any:
        """Return the answer of *script*, which may run more than once if an answer is lost.

        Raises:
            BrokerUnavailable: There was no answer within the timeout.
            BrokerRefused: The server refuses. If a permission is missing, it names *room*.
        """
        return await self._run(script, keys, lambda _: arguments, room, is_timed=False)

    async def run_once(
        self, script: str, keys: Sequence[str], arguments: Callable[[int | None], Sequence[Argument]], *, room: str
    ) -> Any:
        """Return the answer of a script that must not take effect twice, and so has to know of earlier attempts.

        *arguments* is called for each attempt with the server's time before the first one, in microseconds; with None
        for the first. Raises as ``run()`` does.
        """
        return await self._run(script, keys, arguments, room, is_timed=True)

    async def _run(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Callable[[int | None], Sequence[Argument]],
        room: str | None,
        *,
        is_timed: bool,
    ) -> Any:
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + self._timeout_s
        pauses = backoff(longest_s=1.0)
        repeats = None
        may_have_run = False
        while True:
            try:
                until = min(deadline, loop.time() + self._timeout_s / 2)
                return await self._attempt(script, keys, arguments, repeats, until)
            except Exception as error:
                pause = next(pauses)
                message = f"{self.name}: {explain(error)}"
                if self.refuses(error):
                    if may_have_run:
                        raise BrokerUnavailable(f"{message}; an earlier attempt may have succeeded") from error
                    raise BrokerRefused(message, room=room if concerns_room(error) else None) from error
                if not self._open or loop.time() + pause >= deadline:
                    raise BrokerUnavailable(message) from error
                may_have_run = may_have_run or not isinstance(error, self._errors.ResponseError)
            await asyncio.sleep(pause)
            repeats = began if is_timed else None

    async def _attempt(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Callable[[int | None], Sequence[Argument]],
        repeats: float | None,
        until: float,
    ) -> Any:
        """Run the script once; *repeats* is when the first attempt began, if the script has to know."""
        errors = self._errors
        pipeline = None
        try:
            async with asyncio.timeout_at(until):
                if self._slots is not None:
                    await self._slots.refresh_if_stale()
                node = self.node(keys[0])
                pipeline = self._pipeline(node)
                since = None if repeats is None else await _server_time_us(pipeline, repeats)
                rest = (len(keys), *keys, *arguments(since))
                try:
                    return await pipeline.execute("EVALSHA", _digest(script), *rest)
                except errors.NoScriptError:
                    return await pipeline.execute("EVAL", script, *rest)
                except errors.MovedError:
                    # A subclass of AskError; this one needs a new slot map.
                    raise
                except errors.AskError as error:
                    # The slot is migrating: this room has gone already, or is not there yet.
                    asked = f"{error.host or node.rpartition(':')[0]}:{error.port}"
                    pipeline = self._pipeline(self._url.reachable(asked))
                    return await pipeline.execute("EVAL", script, *rest, asking=True)
        except Exception as error:
            # Another server may be responsible now, even at the same address.
            if pipeline is not None and isinstance(error, TimeoutError | errors.ReadOnlyError):
                pipeline.close()
            if self._slots is not None:
                self._slots.invalidate()
            raise

    def _pipeline(self, node: str) -> Pipeline:
        return self._open_pipeline(node, lambda: self.connection(node))

    def _sentinel_pipeline(self, node: str) -> Pipeline:
        connect = self._url.connection
        return self._open_pipeline(
            f"sentinel {node}", lambda: connect(node, timeout_s=self._timeout_s, to_sentinel=True)
        )

    def _open_pipeline(self, name: str, connect: Callable[[], Any]) -> Pipeline:
        if not self._open:
            raise ConnectionError("not started")
        pipeline = self._pipelines.get(name)
        if pipeline is not None and pipeline.silent:
            pipeline.close()
        if pipeline is None or pipeline.ended:
            pipeline = self._pipelines[name] = Pipeline(connect(), self._timeout_s)
        return pipeline

    def refuses(self, error: Exception) -> bool:
        """Whether *error* is an answer of the server that a retry does not change."""
        errors = self._errors
        if isinstance(error, errors.AuthenticationError | errors.AuthorizationError):
            return True
        passing = (
            *(errors.ReadOnlyError, errors.ClusterDownError, errors.TryAgainError, errors.MasterDownError),
            *(errors.MovedError, errors.AskError, errors.BusyLoadingError),
        )
        if isinstance(error, passing) or str(error).startswith(_PASSING):
            return False
        return isinstance(error, errors.ResponseError)


async def _server_time_us(pipeline: Pipeline, then: float) -> int:
    """Return the server's time in microseconds when the event loop's clock was at *then*, or a little before.

    The seconds that have passed here would not do: it is not known when the server executes a command that says so.
    """
    seconds, microseconds = await pipeline.execute("TIME")
    passed_s = asyncio.get_running_loop().time() - then + _CLOCKS_DIFFER_S
    return int(seconds) * 1_000_000 + int(microseconds) - int(passed_s * 1_000_000)


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
