"""uvicorn's Server with the ending that falconws promises: it drains, and it always ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from falconws.server.config import ServerConfig
from falconws.server.drain import Drain

_LIFESPAN_S = 1.5
_WATCHDOG_S = 4.5
"""After the signal and the drain; what hangs then (a thread, a task that ignores its cancellation) is left behind."""

_logger = logging.getLogger("falconws.server")


class Server(uvicorn.Server):
    """Drains on the first SIGINT or SIGTERM and ends with exit code 0; ends at once on the second.

    In a subprocess of a reloader or supervisor SIGINT is left to the parent, which the terminal has
    told as well; and a second SIGTERM is the first one again, which the whole process group was sent
    and then the parent has passed on. That somebody is in a hurry the parent tells by `hurry`.
    """

    config: ServerConfig

    def __init__(self, config: ServerConfig, *, on_ready: Callable[[], object] | None = None) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.forced_by: int | None = None
        self._asked: asyncio.Event | None = None
        self._forced: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: weakref.WeakSet[Any]
        self._failed_are_gone = False

    @property
    def exit_code(self) -> int:
        """0 after a first signal, 128 and the number of the second after one, 3 when it could not serve."""
        if self.forced_by is not None:
            return 128 + self.forced_by
        return 0 if self.started or self.should_exit else STARTUP_FAILURE

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; unlike uvicorn's own, never raise it again after a shutdown that went well."""
        if sig == signal.SIGINT and self.config.use_subprocess:
            return
        if not self.should_exit:
            self.should_exit = True
            # Now, not when the shutdown begins: a responder may block the event loop.
            _leave_within(self.config.drain_s + _WATCHDOG_S, 0)
            self._set(self._asked)
        elif not self.config.use_subprocess:
            self.hurry(sig)

    def hurry(self, sig: int) -> None:
        """End at once, with the exit code for a second signal *sig*. Can be called from any thread."""
        self.should_exit = self.force_exit = True
        self.forced_by = sig
        _leave_within(0.5, 128 + sig)
        self._set(self._asked)
        self._set(self._forced)

    def _set(self, event: asyncio.Event | None) -> None:
        if self._loop is not None and event is not None:
            # The event loop may have ended before.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(event.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the lifespan, and listen on *sockets*.

        Written anew: uvicorn's own cannot tell the event loop how long a TLS handshake may take.
        """
        self._loop = asyncio.get_running_loop()
        self._asked, self._forced = asyncio.Event(), asyncio.Event()
        self._begun = weakref.WeakSet()
        await self._start_lifespan()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = [await self._listen(listener) for listener in sockets or []]
        self.started = True
        if self._on_ready is not None:
            self._on_ready()

    async def _start_lifespan(self) -> None:
        """Start the lifespan; after a signal it has a moment left, and is cancelled then."""
        assert self._loop is not None
        starting = self._loop.create_task(self.lifespan.startup())
        ending = self._loop.create_task(self._until_asked())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not starting.done():
            _logger.error("The application's lifespan did not start up before the end; it is cancelled")
            # What it says then is no failure worth a word.
            self.lifespan.startup_failed = True
            sys.exit(self.exit_code)
        await starting

    async def _until_asked(self) -> None:
        assert self._asked is not None
        assert self._forced is not None
        if not self.should_exit:
            await self._asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIFESPAN_S):
                await self._forced.wait()

    async def _listen(self, listener: socket.socket) -> asyncio.Server:
        config = self.config
        if config.workers > 1 and sys.platform == "win32":
            # A socket that came with the start of this process has to be opened anew there.
            listener = socket.fromshare(listener.share(os.getpid()))

        def begin() -> asyncio.Protocol:
            protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            self._begun.add(protocol)
            return protocol

        assert self._loop is not None
        return await self._loop.create_server(
            begin,
            sock=listener,
            backlog=config.backlog,
            ssl=config.ssl,
            # Without a limit of ours the event loop has its own, a minute.
            ssl_handshake_timeout=config.connection_settings.handshake_timeout_s if config.ssl else None,
        )

    def _is_somebody_coming(self) -> bool:
        """Return whether a connection was accepted that is not there yet: it may be in its TLS handshake."""

        def is_one_begun() -> bool:
            return any(protocol.transport is None for protocol in self._begun)

        if not self._failed_are_gone and is_one_begun():
            # What is left of a handshake that has failed is for the garbage collector, without uvloop.
            gc.collect()
            self._failed_are_gone = True
        return is_one_begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, end the lifespan; bounded by the drain and 5 seconds."""
        assert self._forced is not None
        seconds = self.config.drain_s
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        _logger.info("Draining %d connection(s) within %g s", len(state.connections), seconds)
        if self.config.gate is not None:
            self.config.gate.going_away.set()
        drain = Drain(
            state.connections,
            state.tasks,
            is_coming=self._is_somebody_coming,
            websocket_class=self.config.ws_protocol_class,
            seconds=seconds,
            forced=self._forced,
        )
        await drain.run()
        if self.force_exit:
            return
        try:
            async with asyncio.timeout(_LIFESPAN_S):
                await self.lifespan.shutdown()
        except TimeoutError:
            _logger.error("The application's lifespan did not shut down within %g s", _LIFESPAN_S)


def _leave_within(seconds: float, code: int) -> None:
    """End the process with *code* after *seconds*, whatever hangs."""

    def leave() -> None:
        if code == 0:
            _logger.error("Something does not end; leaving it behind")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
