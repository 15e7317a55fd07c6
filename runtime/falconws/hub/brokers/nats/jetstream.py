"""A stream of JetStream: appending to it, and reading it as its leader has it.

A replicated stream has a leader, which orders the messages and republishes them; the other replicas may lag behind it.
Any of them answers JetStream's direct API, the only one that reads many messages with one request. So a read asks the
leader for the newest message first, and is repeated until its answer reaches that far: a message that was delivered is
found. If nothing is new, the leader's answer is enough.

Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from falconws.hub.concurrency import backoff

from .session import ApiError, NatsSession, RefusedError

__all__ = ("Conflict", "NatsStream", "Stored")

_BATCH = 5_000
_BATCH_BYTES = 8 * 1024 * 1024
"""What is requested at once. The server keeps it in memory, and disconnects a client for which too much waits."""
_NOT_FOUND = 404
_NAME_IN_USE = 10058
_ANOTHER_STREAM = 10060
_WRONG_LAST_SEQUENCE = (10071, 10164)
"""Clusters use the second while an earlier write is not replicated yet."""

_SILENT_NS = 10_000_000_000
"""A replica that has been silent for so long is away: after this interval a JetStream leader steps down."""

_METADATA_UPDATE_S = 0.5

_LIMITS = ("max_msgs_per_subject", "max_age", "duplicate_window")
"""The settings in which an existing stream is adapted to this process's configuration."""

_logger = logging.getLogger("falconws.hub")


class Conflict(Exception):
    """Another process has written to the subject since."""


class Stored(NamedTuple):
    """A message in a stream."""

    subject: str
    sequence: int
    stamp: str
    """When the stream stored it, as the server writes it."""
    headers: Mapping[str, str]
    data: bytes

    @property
    def time_s(self) -> float:
        """When the stream stored it, in seconds since 1970."""
        return _parse_time(self.stamp)


class NatsStream:
    """One stream, in one session.

    Args:
        session: The connection.
        name: Its name.
    """

    def __init__(self, session: NatsSession, name: str) -> None:
        self._session = session
        self.name = name
        self.elections = f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{self.name}"
        """The subject on which the servers announce a new leader."""
        self.config: Mapping[str, Any] = {}
        """The configuration, as it was read last."""
        self.state: Mapping[str, Any] = {}
        """The number of messages and bytes, as it was read last."""
        self.created = ""
        """When the stream was created, as it was read last."""
        self._clock_s = 0.0

    async def ensure(self, config: Mapping[str, Any], *, adapt: bool = False) -> None:
        """Create the stream, or use the existing one of that name.

        Args:
            config: As in ``STREAM.CREATE``, without the name.
            adapt: Change an existing stream's limits to those of *config*.
        """
        try:
            info = await self._info()
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            try:
                info = await self._session.api(f"STREAM.CREATE.{self.name}", {**config, "name": self.name})
            except ApiError as conflict:
                if conflict.code != _NAME_IN_USE:
                    raise
                info = await self._info()
        self._read_info(info)
        if adapt:
            await self._adapt(info["config"], config)

    async def _adapt(self, found: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        wanted = {limit: config[limit] for limit in _LIMITS if limit in config}
        # The server adds entries of its own.
        wanted["metadata"] = {**found.get("metadata", {}), **config.get("metadata", {})}
        other = {limit: value for limit, value in wanted.items() if found.get(limit) != value}
        if not other:
            return
        update = self._session.api(f"STREAM.UPDATE.{self.name}", {**found, **wanted})
        if other.keys() == {"metadata"}:
            # The metadata only informs other processes, so a user may lack the permission to change the stream.
            with suppress(ApiError, ConnectionError, RefusedError, TimeoutError):
                async with asyncio.timeout(_METADATA_UPDATE_S):
                    await update
            return
        # The metadata repeat the limits, among entries of the server.
        other.pop("metadata", None)
        before = {limit: found.get(limit) for limit in other}
        _logger.warning("The limits of stream %s are changed to %s; they were %s", self.name, other, before)
        self.config = (await update)["config"]

    async def _info(self) -> dict[str, Any]:
        info = await self._session.api(f"STREAM.INFO.{self.name}")
        self._read_info(info)
        return info

    def _read_info(self, info: Mapping[str, Any]) -> None:
        # The event loop's clock stops while the machine is suspended, and servers' clocks are adjusted.
        self._clock_s = _parse_time(info["ts"]) - asyncio.get_running_loop().time()
        self.config, self.state, self.created = info["config"], info.get("state", {}), info.get("created", "")

    def now_s(self) -> float:
        """Return the server's time in seconds since 1970, estimated from its last answer."""
        return asyncio.get_running_loop().time() + self._clock_s

    def age_s(self, stamp: str) -> float:
        """Return the age of *stamp*, as the server writes it; infinity if it is not a timestamp."""
        try:
            return self.now_s() - _parse_time(stamp)
        except ValueError:
            return math.inf

    async def leadership(self) -> object:
        """Return a value that changes when another server becomes the stream's leader; None without a cluster.

        Raises:
            ConnectionError: The leader has lost the other servers, so it can store no message.
        """
        cluster = (await self._info()).get("cluster")
        if cluster is None:
            return None
        peers = cluster.get("replicas", [])
        online = [peer for peer in peers if not peer.get("offline") and peer.get("active", 0) < _SILENT_NS]
        if len(online) < len(peers) // 2:
            raise ConnectionError(
                f"only {1 + len(online)} of the {1 + len(peers)} servers with the stream {self.name} are online"
            )
        return cluster.get("leader"), cluster.get("leader_since")

    async def probe(self, *subjects: str) -> None:
        """Raise what is wrong, if the stream cannot store messages on *subjects*; store none."""
        await self.leadership()
        for subject in subjects:
            await self.reach_leader(subject)
        for limit, used in (("max_bytes", "bytes"), ("max_msgs", "messages")):
            most = self.config.get(limit, -1)
            if self.config.get("discard") == "new" and 0 < most <= self.state.get(used, 0):
                raise ConnectionError(f"the stream {self.name} is full: {limit} is {most}")

    async def append(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
        """Publish to the stream and return the sequence number.

        Raises:
            Conflict: The newest message on the subject is not the one that *headers* expect.
            ApiError: The stream refused the message for another reason.
        """
        try:
            answer = await self._session.request(subject, payload, headers)
        except ApiError as error:
            if error.code in _WRONG_LAST_SEQUENCE:
                raise Conflict from None
            raise
        return int(answer["seq"])

    async def reach_leader(self, subject: str) -> None:
        """Return when the stream's leader knows all subscriptions of this session.

        Servers propagate subscriptions in the background. A message to the stream takes the same route behind them. Its
        leader refuses a message that expects another stream, so it leaves no trace.
        """
        try:
            await self._session.request(subject, b"", {"Nats-Expected-Stream": f"not {self.name}"})
        except ApiError as error:
            if error.code != _ANOTHER_STREAM:
                raise

    async def last(self, subject: str) -> Stored | None:
        """Return the newest message on *subject* (which may have wildcards), as the leader has it."""
        try:
            answer = await self._session.api(f"STREAM.MSG.GET.{self.name}", {"last_by_subj": subject})
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        message = answer["message"]
        return Stored(
            message["subject"],
            message["seq"],
            message["time"],
            _parse_headers(base64.b64decode(message.get("hdrs", ""))),
            base64.b64decode(message.get("data", "")),
        )

    async def read(self, subject: str, sequence: int = 1) -> list[Stored]:
        """Return all messages on *subject* (which may have wildcards) from *sequence* on, in order.

        The result includes everything that the leader had when it was asked.
        """
        return [stored async for batch in self.batches(subject, sequence) for stored in batch]

    async def batches(self, subject: str, sequence: int = 1) -> AsyncIterator[list[Stored]]:
        """Yield what ``read()`` returns, as it arrives.

        While the stream changes, a message may be followed by another one that replaces it.
        """
        pauses = backoff(first_s=0.005, longest_s=0.2)
        newest = await self.last(subject)
        while newest is not None and newest.sequence > sequence:
            if batch := await self._read_batch(subject, sequence):
                yield batch
                sequence = batch[-1].sequence + 1
            else:
                # A replica that lags has answered, or the newest message has just been removed.
                await asyncio.sleep(next(pauses))
                newest = await self.last(subject)
        if newest is not None and newest.sequence == sequence:
            yield [newest]

    async def _read_batch(self, subject: str, sequence: int) -> list[Stored]:
        """Return the next messages that one of the replicas has: all up to the last one of them."""
        body = {"seq": max(sequence, 1), "next_by_subj": subject, "batch": _BATCH, "max_bytes": _BATCH_BYTES}
        return [
            Stored(headers["Nats-Subject"], int(headers["Nats-Sequence"]), headers["Nats-Time-Stamp"], headers, data)
            for headers, data in await self._session.batch(f"DIRECT.GET.{self.name}", body)
        ]


def _parse_headers(block: bytes) -> dict[str, str]:
    """Return the headers of a message, as the client library parses those of a delivered one."""
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def _parse_time(text: str) -> float:
    """Return seconds since 1970 for a timestamp of RFC 3339 with up to nine digits of a second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
