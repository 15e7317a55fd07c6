"""A stream of JetStream: appending to it, and reading it as its leader has it.

A replicated stream has a leader, which orders what is appended and passes it on; the other replicas follow, and may lag
behind it. JetStream's direct API, the only one that reads many messages with one request, is answered by any of them.
So a read asks the leader for the newest message first, and is done again until its answer reaches that far: who was
told of a message finds it. Where nothing is new, the leader's answer is all that is needed.

Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from falconws.hub.concurrency import backoff

from .session import ApiError, NatsSession

__all__ = ("Conflict", "NatsStream", "Stored")

_BATCH = 1_000
_NOT_FOUND = 404
_NAME_IN_USE = 10058
_ANOTHER_STREAM = 10060
_WRONG_LAST_SEQUENCE = (10071, 10164)
"""The second comes from clusters, while what was written before is not replicated yet."""

_SILENT_NS = 10_000_000_000
"""After which a replica that says nothing is gone: the interval after which a leader of JetStream's steps down."""

_NOTE_S = 0.5

_LIMITS = ("max_msgs_per_subject", "max_age", "duplicate_window")
"""What an existing stream is changed in, to be as this process is configured."""


_logger = logging.getLogger("falconws.hub")


class Conflict(Exception):  # noqa: N818 (named for what has happened, as the hub's errors are)
    """Somebody else has written to the subject since."""


class Stored(NamedTuple):
    """A message of a stream."""

    subject: str
    sequence: int
    stamp: str
    """When the stream took it, as the server writes it."""
    headers: Mapping[str, str]
    data: bytes

    @property
    def time_s(self) -> float:
        """When the stream took it, in seconds since 1970."""
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
        """A subject on which the servers tell of a new leader."""
        self.config: Mapping[str, Any] = {}
        """As it was seen last."""
        self._clock_s = 0.0

    async def ensure(self, config: Mapping[str, Any], *, adapt: bool = False) -> None:
        """Create the stream, or take the one of that name as it is.

        Args:
            config: As in ``STREAM.CREATE``, without the name.
            adapt: Give a stream that is there *config*'s limits.
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
        self._see(info)
        if adapt:
            await self._adapt(info["config"], config)

    async def _adapt(self, found: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        wanted = {limit: config[limit] for limit in _LIMITS if limit in config}
        # The server has entries of its own there.
        wanted["metadata"] = {**found.get("metadata", {}), **config.get("metadata", {})}
        other = {limit: value for limit, value in wanted.items() if found.get(limit) != value}
        if not other:
            return
        update = self._session.api(f"STREAM.UPDATE.{self.name}", {**found, **wanted})
        if other.keys() == {"metadata"}:
            # It only tells others. Who made the stream may not let us change it, and does not answer then.
            with suppress(ApiError, ConnectionError, TimeoutError):
                async with asyncio.timeout(_NOTE_S):
                    await update
            return
        # The notes for others in the metadata say the same again, among entries of the server.
        other.pop("metadata", None)
        before = {limit: found.get(limit) for limit in other}
        _logger.warning("The stream %s is given other limits: %s, after %s", self.name, other, before)
        self.config = (await update)["config"]

    async def _info(self) -> dict[str, Any]:
        info = await self._session.api(f"STREAM.INFO.{self.name}")
        self._see(info)
        return info

    def _see(self, info: Mapping[str, Any]) -> None:
        # The loop's clock stands still while the machine is suspended, and servers' clocks are set.
        self._clock_s = _parse_time(info["ts"]) - asyncio.get_running_loop().time()
        self.config = info["config"]

    def now_s(self) -> float:
        """Return the time on the server's clock, in seconds since 1970, by when it was asked last."""
        return asyncio.get_running_loop().time() + self._clock_s

    def age_s(self, stamp: str) -> float:
        """Return how long ago *stamp* was, as the server writes it; for ever if it is none."""
        try:
            return self.now_s() - _parse_time(stamp)
        except ValueError:
            return math.inf

    async def leadership(self) -> object:
        """Return what differs when another server has come to lead the stream; the leader answers itself.

        None where there is no cluster.

        Raises:
            ConnectionError: It has lost the others, so it can take no message.
        """
        cluster = (await self._info()).get("cluster")
        if cluster is None:
            return None
        peers = cluster.get("replicas", [])
        there = [peer for peer in peers if not peer.get("offline") and peer.get("active", 0) < _SILENT_NS]
        if len(there) < len(peers) // 2:
            raise ConnectionError(
                f"only {1 + len(there)} of the {1 + len(peers)} servers with the stream {self.name} are there"
            )
        return cluster.get("leader"), cluster.get("leader_since")

    async def append(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
        """Publish to the stream and return the sequence number.

        Raises:
            Conflict: The newest message on the subject is not the one that *headers* expect.
            ApiError: The stream refused it for another reason.
        """
        try:
            answer = await self._session.request(subject, payload, headers)
        except ApiError as error:
            if error.code in _WRONG_LAST_SEQUENCE:
                raise Conflict from None
            raise
        return int(answer["seq"])

    async def reach_leader(self, subject: str) -> None:
        """Return when the stream's leader knows of everything that this session has subscribed to.

        Servers tell each other of subscriptions in the background. A message to the stream takes the same way, behind
        them; and one that is meant for another stream is refused by the leader and leaves no trace.
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

        Among them is everything that the leader had when it was asked.
        """
        pauses = backoff(first_s=0.005, longest_s=0.2)
        while True:
            newest = await self.last(subject)
            if newest is None or newest.sequence < sequence:
                return []
            if newest.sequence == sequence:
                return [newest]
            found = await self._read_any(subject, sequence)
            if found and found[-1].sequence >= newest.sequence:
                return found
            # A replica that lags has answered, or the newest message has just gone.
            await asyncio.sleep(next(pauses))

    async def _read_any(self, subject: str, sequence: int) -> list[Stored]:
        """Read what any of the replicas has."""
        found: list[Stored] = []
        more = True
        while more:
            body = {"seq": max(sequence, 1), "next_by_subj": subject, "batch": _BATCH}
            messages, more = await self._session.batch(f"DIRECT.GET.{self.name}", body)
            for message in messages:
                headers = message.headers
                sequence = int(headers["Nats-Sequence"])
                found.append(
                    Stored(headers["Nats-Subject"], sequence, headers["Nats-Time-Stamp"], headers, message.data)
                )
            sequence += 1
        return found


def _parse_headers(block: bytes) -> dict[str, str]:
    """Return the headers of a message as it was published, as the client library does for those that are delivered."""
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def _parse_time(text: str) -> float:
    """Return seconds since 1970 for a timestamp of RFC 3339 with up to nine digits of a second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
