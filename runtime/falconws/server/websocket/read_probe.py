"""How far a client has read: messages for it are held back while it has not read those before.

Both machines buffer, the client's megabytes of it, and no socket tells how much of that the client has read. But a
client answers a ping when it has read everything before it (RFC 6455 section 5.5.2). So a ping follows what is sent,
and while its answer is late, nothing more is sent: it would be stale when the client reads it. A client that is known
to be late gets what is new in lockstep: one burst, one ping, and the next burst after the answer.

Nothing is held back for a client that has never answered: keepalive disconnects it. Messages that a browser has
read, and its page has not processed, cannot be seen from here. Knows a connection by the port below.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from falconws.server.socket_state import sent_bytes

_LOOK_S = 0.15
_LOOK_AT_LITTLE_S = 0.4
_LOOK_IN_LOCKSTEP_S = 0.02
"""The interval between two looks at the connection: in general, while little is sent, and in lockstep."""
_UNPROBED_BYTES = 4096
"""Up to this size, what is sent to a prompt client is not followed by a ping."""
_PROMPT_S = 0.1
"""An answer is late if it takes so much longer than twice the shortest round trip."""


class ProbedConnection(Protocol):
    """What the probe asks of a connection."""

    transport: Any

    def send_ping(self, payload: bytes) -> bool: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...


class ReadProbe:
    """Probes one connection until it is stopped."""

    __slots__ = (
        "_asked_at",
        "_asked_bytes",
        "_connection",
        "_held",
        "_little",
        "_lockstep",
        "_loop",
        "_payload",
        "_rtt",
        "_timer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: ProbedConnection) -> None:
        self._loop = loop
        self._connection = connection
        self._rtt: float | None = None
        """The shortest time that an answer took, in seconds; None before the first one."""
        self._payload = 0
        self._asked_at: float | None = None
        self._asked_bytes = 0
        self._held = False
        self._little = False
        """Whether little was sent since the last ping."""
        self._lockstep = False
        self._timer: asyncio.TimerHandle | None = None
        # Nothing waits yet: the answer tells how far away the client is.
        self._ask()
        self._look_later()

    def _look_later(self) -> None:
        delay_s = _LOOK_AT_LITTLE_S if self._little else _LOOK_S
        if self._lockstep and not self._held:
            delay_s = _LOOK_IN_LOCKSTEP_S
        if self._asked_at is not None and not self._held:
            delay_s = min(delay_s, self._late_s)
        self._timer = self._loop.call_later(delay_s, self._look)

    @property
    def _late_s(self) -> float:
        return _PROMPT_S + 2 * (self._rtt or 0.0)

    def _look(self) -> None:
        if self._asked_at is None:
            unprobed = sent_bytes(self._connection.transport) - self._asked_bytes
            self._little = unprobed < _UNPROBED_BYTES // 4
            if unprobed >= (1 if self._lockstep else _UNPROBED_BYTES):
                self._ask()
                if self._lockstep:
                    self._hold()
        elif self._rtt is not None and not self._held and self._loop.time() - self._asked_at >= self._late_s:
            self._hold()
        self._look_later()

    def _ask(self) -> None:
        self._payload += 1
        if self._connection.send_ping(self._encoded):
            self._asked_at = self._loop.time()
            self._asked_bytes = sent_bytes(self._connection.transport)

    @property
    def _encoded(self) -> bytes:
        return b"read %d" % self._payload

    def _hold(self) -> None:
        if not self._held:
            self._held = True
            self._connection.hold()

    def pong(self, payload: bytes) -> None:
        """Called when a pong has come."""
        if self._asked_at is None or payload != self._encoded:
            return
        took_s = self._loop.time() - self._asked_at
        self._lockstep = self._rtt is not None and took_s >= self._late_s
        self._rtt = took_s if self._rtt is None else min(self._rtt, took_s)
        self._asked_at = None
        if self._held:
            self._held = False
            self._connection.release()
            assert self._timer is not None
            self._timer.cancel()
            self._look_later()

    def stop(self) -> None:
        """Send no more pings, and hold nothing back."""
        if self._timer is not None:
            self._timer.cancel()
