"""Graceful shutdown of an HTTP connection: a mixin for uvicorn's protocol classes.

A request that arrives during shutdown is answered, and a client can read a response that is sent before its request is
complete. Unread input would make the kernel reset the closed connection: the client could lose the response, and could
not tell whether its request was served. Knows nothing of request heads.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from falconws.server.lingering_close import abort_when_flushed, lingering_close
from falconws.timeouts import Timeout

if TYPE_CHECKING:
    # The next base class is this one or HttpToolsProtocol, whose methods are the same.
    from uvicorn.protocols.http.h11_impl import H11Protocol as UvicornProtocol
else:
    UvicornProtocol = object

_UPLOAD_CLOSE_S = 10.0
"""The time for a client to notice that it was answered before it had sent the whole body."""
_RECENT_RESPONSE_S = 1.0
"""A client that was answered less than this ago may have sent its next request already."""


class GracefulHttp(ABC, UvicornProtocol):
    """Graceful shutdown for one of uvicorn's HTTP protocol classes, which is the next base class."""

    transport: Any
    config: Any
    server_state: Any
    cycle: Any
    """The last request that has begun, and its response."""
    timeout_keep_alive_task: asyncio.TimerHandle | None
    """Runs from a response to the next request."""
    timeout_keep_alive_handler: Callable[[], None]
    _unset_keepalive_if_required: Callable[[], None]
    _deadline: asyncio.TimerHandle | None = None
    """The deadline of the request that is being received."""
    _draining = False
    """Whether the server shuts down: the present request, or the next one, is the last one."""
    _lingering = False
    """Whether the last response was sent, and the client is still sending."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self.cycle is not None:
            # Protocol and request refer to each other; break the cycle.
            self.cycle.transport = self.transport
            restore_methods(self.cycle)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Serve the present request, or the one that is about to arrive, as the last one; close if there is none.

        A client that was just answered is likely to have sent another request.
        """
        called_before, self._draining = self._draining, True
        if self._lingering and not called_before:
            return
        if called_before or self.transport.is_closing():
            self._close()
        elif self.cycle is None or self._has_partial_request():
            self._expect_request_within(self.config.drain_s / 10)
        elif not self.cycle.response_complete:
            # A response that has begun does not say that it is the last one: the client may send another request.
            if not self.cycle.response_started:
                self._end_keep_alive()
        elif self._was_answered_within(_RECENT_RESPONSE_S):
            self._expect_another_request()
        else:
            self._close()

    def on_response_complete(self) -> None:
        if self._lingering:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if not self._draining:
            return
        if self.transport.is_closing():
            abort_when_flushed(self.transport, self.loop)
        elif self.cycle.response_complete:
            self._expect_another_request()
        else:
            self._end_keep_alive()

    def _expect_another_request(self) -> None:
        self._expect_request_within(min(self.config.drain_s / 10, _RECENT_RESPONSE_S))

    def _expect_request_within(self, timeout_s: float) -> None:
        self._deadline = tighten_deadline(self._deadline, timeout_s, self.loop, self._deadline_passed)

    def _deadline_passed(self) -> None:
        if self.cycle is None or self._has_partial_request():
            self._timed_out()
        else:
            self._close()

    def _close(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            abort_when_flushed(self.transport, self.loop)

    def _was_answered_within(self, recent_s: float) -> bool:
        timer = self.timeout_keep_alive_task
        return timer is not None and timer.when() - self.timeout_keep_alive > self.loop.time() - recent_s

    def _restart_keep_alive(self) -> None:
        """Restart the keep-alive timer after data that belongs to a request which is answered already."""
        if (
            self.cycle is not None
            and self.cycle.response_complete
            and self.timeout_keep_alive_task is None
            and self in self.server_state.connections  # It is not a WebSocket now.
            and not self._has_partial_request()
        ):
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    @abstractmethod
    def _has_partial_request(self) -> bool:
        """Return whether a part of a request's head has arrived, and no other request is in progress."""

    @abstractmethod
    def _timed_out(self) -> None:
        """Refuse a request that has not arrived in time."""

    def _end_keep_alive(self) -> None:
        """Make the present request the last one of the connection; its response says so."""
        self.cycle.keep_alive = False
        self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]

    def _close_lingering(self, timeout_s: float, *, restart_while_sending: bool = False) -> None:
        self._lingering = True
        lingering_close(
            self.transport,
            self.loop,
            timeout_s,
            lambda: self.connection_lost(None),
            restart_while_sending=restart_while_sending,
        )

    def _prepare_response(self) -> None:
        """Prepare the response to the request that has just begun."""
        if self._draining:
            self._end_keep_alive()
        if self.cycle.more_body:
            self.cycle.transport = EarlyResponseTransport(self.transport, self.close_after_response)

    def close_after_response(self) -> None:
        """Close; if the client is still sending its body, close in a way that lets it read the response."""
        if self.cycle.more_body:
            # After a response that was cut short, only the end of the stream tells the client that nothing follows.
            self._close_lingering(_UPLOAD_CLOSE_S, restart_while_sending=self.cycle.response_complete)
        else:
            self.transport.close()


def restore_methods(cycle: Any) -> None:
    """Remove the functions that were put in place of methods of *cycle*, and refer to it."""
    vars(cycle).pop("receive", None)
    vars(cycle).pop("send", None)


class EarlyResponseTransport:
    """The transport of a response to a client that is still sending."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: Any, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def tighten_deadline(
    deadline: asyncio.TimerHandle | Timeout | None,
    timeout_s: float,
    loop: asyncio.AbstractEventLoop,
    action: Callable[[], object],
) -> asyncio.TimerHandle:
    """Replace *deadline* by a timer that calls *action* after *timeout_s*, or at *deadline* if that is earlier."""
    due = loop.time() + timeout_s
    if deadline is not None:
        deadline.cancel()
        due = min(due, deadline.when())
    return loop.call_at(due, action)
