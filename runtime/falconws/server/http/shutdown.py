"""How an HTTP connection ends without taking an answer away: mixed into uvicorn's protocol classes.

A request that crosses the end of the server is answered, and an answer that comes before the whole request
can be read. What a client has sent and nobody has read would make the kernel reset a connection that is
closed: the client could not tell whether it was served, and may lose the answer. Knows nothing of heads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from falconws.server.lingering_close import linger, part

_UPLOAD_LINGER_S = 10.0
"""For a client to notice that it was answered before it had sent the whole body."""
_BUSY_S = 1.0
"""Who was answered less than this ago may have asked again already."""


class PartingHttp:
    """The end of a connection of one of uvicorn's HTTP protocol classes, which is next in line."""

    loop: asyncio.AbstractEventLoop
    transport: Any
    config: Any
    server_state: Any
    cycle: Any
    """The request that was last begun, and its response."""
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None
    """Runs from an answer to the next request."""
    timeout_keep_alive_handler: Callable[[], None]
    _deadline: asyncio.TimerHandle | None = None
    """Of the request that is awaited."""
    _leaving = False
    """Whether the server ends: the request that is under way, or about to be, is the last one."""
    _lingers = False
    """Whether all was said, and the client is still sending."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self.cycle is not None:
            # Protocol and request hold each other, and nobody else parts them.
            self.cycle.transport = self.transport
        super().connection_lost(exc)  # type: ignore[misc]

    def shutdown(self) -> None:
        """Let the request that has begun be the last one, or the one that is about to come; else close.

        Who has just been answered is likely to be about to ask again.
        """
        left_before, self._leaving = self._leaving, True
        if self._lingers and not left_before:
            return
        if left_before or self.transport.is_closing():
            self._end()
        elif self.cycle is None or self._is_asking():
            self._wait(self.config.drain_s / 10)
        elif not self.cycle.response_complete:
            # One that has begun does not say that it is the last: the client may ask again, see below.
            if not self.cycle.response_started:
                self._keep_no_longer()
        elif self._was_answered_within(_BUSY_S):
            self._wait_for_another()
        else:
            self._end()

    def on_response_complete(self) -> None:
        if self._lingers:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()  # type: ignore[misc]
        if not self._leaving:
            return
        if self.transport.is_closing():
            part(self.transport, self.loop)
        elif self.cycle.response_complete:
            self._wait_for_another()
        else:
            self._keep_no_longer()

    def _wait_for_another(self) -> None:
        self._wait(min(self.config.drain_s / 10, _BUSY_S))

    def _wait(self, seconds: float) -> None:
        self._deadline = hurry(self._deadline, seconds, self.loop, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self._is_asking():
            self._cut_off()
        else:
            self._end()

    def _end(self) -> None:
        super().shutdown()  # type: ignore[misc]
        if self.transport.is_closing():
            part(self.transport, self.loop)

    def _was_answered_within(self, seconds: float) -> bool:
        timer = self.timeout_keep_alive_task
        return timer is not None and timer.when() - self.timeout_keep_alive > self.loop.time() - seconds

    def _stay_patient(self) -> None:
        """Wait for the next request, no longer than else, behind a part of one that was answered before it was here."""
        if (
            self.cycle is not None
            and self.cycle.response_complete
            and self.timeout_keep_alive_task is None
            and self in self.server_state.connections  # Not that of a WebSocket now.
            and not self._is_asking()
        ):
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _is_asking(self) -> bool:
        """Return whether a part of a request's head is here, and nothing else is under way."""
        raise NotImplementedError

    def _cut_off(self) -> None:
        """Give up a request that does not come as a whole."""
        raise NotImplementedError

    def _keep_no_longer(self) -> None:
        """Let the request that was last begun be the last one, and its answer say so."""
        self.cycle.keep_alive = False

    def _linger(self, seconds: float, *, patient: bool = False) -> None:
        self._lingers = True
        linger(self.transport, self.loop, seconds, lambda: self.connection_lost(None), patient=patient)

    def _begin_request(self) -> None:
        """Prepare for the answer to the request that has just begun."""
        if self._leaving:
            self._keep_no_longer()
        if self.cycle.more_body:
            self.cycle.transport = _AnsweringTransport(self.transport, self.close_behind_answer)

    def close_behind_answer(self) -> None:
        """Close; when the client is still sending its body, in a way that lets it read the answer."""
        if self.cycle.more_body:
            # Of an answer that was broken off a client does not know by itself that no more comes.
            self._linger(_UPLOAD_LINGER_S, patient=self.cycle.response_complete)
        else:
            self.transport.close()


class _AnsweringTransport:
    """The transport as the answer to a request sees it that is not here yet as a whole."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: Any, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def hurry(
    deadline: asyncio.TimerHandle | None, seconds: float, loop: asyncio.AbstractEventLoop, action: Callable[[], object]
) -> asyncio.TimerHandle:
    """Return the timer of *action* for a request that is awaited while the server drains, in place of *deadline*."""
    due = loop.time() + seconds
    if deadline is not None:
        deadline.cancel()
        due = min(due, deadline.when())
    return loop.call_at(due, action)
