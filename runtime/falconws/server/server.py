"""uvicorn's Server with a graceful shutdown that always ends: it drains, within a bounded time.

Must not know requests or frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from falconws.server.config import ServerConfig
from falconws.server.drain import Drain
from falconws.server.event_loop import run_to_its_end
from falconws.server.sockets import BACKLOG

_LIFESPAN_S = 1.5
_WATCHDOG_S = 4.5
"""Past the drain, after which the process exits even if a thread or a task still hangs."""
_FORCED_S = 3.5
"""The same after a second signal: for tasks that are cancelled, and for the lifespan."""

_ACCEPTS_AT_A_TIME = 100
_EXHAUSTION_INTERVAL_S = 10.0
"""The time between two log lines about missing file descriptors."""

_logger = logging.getLogger("falconws.server")


class Server(uvicorn.Server):
    """Drains on the first SIGINT or SIGTERM and exits with code 0.

    The second one ends the drain: connections are aborted and responders are cancelled. The lifespan still shuts down,
    since an application may have to give back what outlives its process. The third one exits at once.

    A subprocess of a reloader or supervisor ignores SIGINT, which the terminal also sends to the parent. It ignores a
    second SIGTERM too: the first went to the whole process group, and the parent has passed it on. The parent calls
    `force_exit_now` instead. A subprocess whose parent has died drains, since nothing else would stop it.
    """

    config: ServerConfig

    def __init__(self, config: ServerConfig, *, on_ready: Callable[[], object] | None = None) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.forced_by: int | None = None
        self._exit_requested: asyncio.Event | None = None
        self._forced: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._accepted: weakref.WeakSet[Any]
        self._failed_collected = False
        self._accept_error: OSError | None = None
        self._exhaustion_due = 0.0

    @property
    def exit_code(self) -> int:
        """0 after one signal, 128 plus the number of the second signal after two, 3 if the server did not start."""
        if self.forced_by is not None:
            return 128 + self.forced_by
        return 0 if self.started or self.should_exit else STARTUP_FAILURE

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve *sockets* until a signal."""
        parent = multiprocessing.parent_process()
        if parent is not None and self.config.use_subprocess:
            threading.Thread(target=self._end_after, args=(parent,), daemon=True).start()
        run_to_its_end(self.serve(sockets=sockets), self.config.get_loop_factory())

    def _end_after(self, parent: multiprocessing.process.BaseProcess) -> None:
        parent.join()
        self._exit_within(self._shutdown_s)
        os.kill(os.getpid(), signal.SIGTERM)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown; unlike uvicorn's own, never raise the signal again afterwards."""
        if sig == signal.SIGINT and self.config.use_subprocess:
            return
        if not self.should_exit:
            self.should_exit = True
            # Start now, not when the shutdown begins: a responder may block the event loop.
            self._exit_within(self._shutdown_s)
            self._set(self._exit_requested)
        elif not self.config.use_subprocess:
            self.force_exit_now(sig)

    def force_exit_now(self, sig: int) -> None:
        """End the drain, with the exit code for a second signal *sig*; at the second call, exit at once.

        May be called from any thread.
        """
        called_before = self.forced_by is not None
        self.should_exit = self.force_exit = True
        self.forced_by = sig
        self._exit_within(0 if called_before else _FORCED_S)
        self._set(self._exit_requested)
        self._set(self._forced)

    @property
    def _shutdown_s(self) -> float:
        return self.config.drain_accept_s + self.config.drain_s + _WATCHDOG_S

    def _exit_within(self, seconds: float) -> None:
        """Exit the process after *seconds*, even if something hangs."""

        def exit_now() -> None:
            if seconds:
                _logger.error("A thread or a task did not end in time; the process exits without it")
            else:
                _logger.error("Third signal: the process exits at once")
            logging.shutdown()
            sys.stdout.flush()
            os._exit(self.exit_code)

        timer = threading.Timer(seconds, exit_now)
        timer.daemon = True
        timer.start()

    def _set(self, event: asyncio.Event | None) -> None:
        if self._loop is not None and event is not None:
            # The event loop may have ended already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(event.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the lifespan and listen on *sockets*.

        Replaces uvicorn's own, which cannot tell the event loop how long a TLS handshake may take.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._handle_loop_error)
        self._exit_requested, self._forced = asyncio.Event(), asyncio.Event()
        self._accepted = weakref.WeakSet()
        await self._start_lifespan()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = [await self._listen(listener) for listener in sockets or []]
        self.started = True
        if self._on_ready is not None:
            self._on_ready()

    async def _start_lifespan(self) -> None:
        """Start the lifespan; after a signal, cancel it soon."""
        assert self._loop is not None
        starting = self._loop.create_task(self.lifespan.startup())
        ending = self._loop.create_task(self._wait_for_signal())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not starting.done():
            _logger.error("The application's start-up is cancelled: the server was told to stop before it had finished")
            # The failure that follows is not worth a log line.
            self.lifespan.startup_failed = True
            sys.exit(self.exit_code)
        await starting

    async def _wait_for_signal(self) -> None:
        assert self._exit_requested is not None
        assert self._forced is not None
        if not self.should_exit:
            await self._exit_requested.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIFESPAN_S):
                await self._forced.wait()

    async def _listen(self, listener: socket.socket) -> asyncio.Server:
        config = self.config
        if config.workers > 1 and sys.platform == "win32":
            # A socket that was inherited from the parent process must be duplicated there.
            listener = socket.fromshare(listener.share(os.getpid()))

        protocol_class: Callable[..., asyncio.Protocol] = config.http_protocol_class

        def accept() -> asyncio.Protocol:
            protocol = protocol_class(config=config, server_state=self.server_state, app_state=self.lifespan.state)
            self._accepted.add(protocol)
            return protocol

        assert self._loop is not None
        server = await self._loop.create_server(
            accept,
            sock=listener,
            # Also how often asyncio's event loop tries to accept at a time, and schedules a retry without descriptors.
            backlog=_ACCEPTS_AT_A_TIME,
            ssl=config.ssl,
            # None leaves it to the event loop, which waits one minute.
            ssl_handshake_timeout=config.connection_settings.handshake_timeout_s if config.ssl else None,
        )
        listener.listen(BACKLOG)
        return server

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second; return whether to stop."""
        self._check_file_descriptors()
        return await super().on_tick(counter)

    def _check_file_descriptors(self) -> None:
        """Log that no file descriptor is left; uvloop does not, and asyncio does it thousands of times."""
        error, self._accept_error = self._accept_error, None
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as failure:
            error = failure
        if error is None or time.monotonic() < self._exhaustion_due:
            return
        self._exhaustion_due = time.monotonic() + _EXHAUSTION_INTERVAL_S
        _logger.error(
            "Cannot accept connections: %s. %d connections are open; raise the limit (ulimit -n, LimitNOFILE=)",
            error.strerror,
            len(self.server_state.connections),
        )

    def _handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, message = context.get("exception"), context.get("message", "")
        if isinstance(error, OSError) and message.startswith("socket.accept() out of system resource"):
            self._accept_error = error
        elif self.should_exit and "_start_serving" in message:
            # asyncio's next attempt to accept, on a listener that was closed meanwhile.
            pass
        else:
            loop.default_exception_handler(context)

    async def _serve_while_leaving(self) -> None:
        """Serve on while load balancers notice that this server is not ready any more."""
        accept_s = self.config.drain_accept_s
        if not accept_s or self.config.admission is None or not self.should_exit:
            return
        assert self._forced is not None
        self.config.admission.is_leaving = True
        _logger.info("Not ready any more; accepting connections for %g s", accept_s)
        end = time.monotonic() + accept_s
        while not self._forced.is_set() and (remaining := end - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, remaining)):
                    await self._forced.wait()
            await self.on_tick(0)

    def _has_pending_handshake(self) -> bool:
        """Return whether an accepted connection has no transport yet: it may be in its TLS handshake."""

        def has_pending() -> bool:
            return any(protocol.transport is None for protocol in self._accepted)

        if not self._failed_collected and has_pending():
            # Without uvloop, the protocol of a failed handshake stays until it is garbage collected.
            gc.collect()
            self._failed_collected = True
        return has_pending()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, end the lifespan; takes at most the times for accepting and draining and 5 seconds."""
        assert self._forced is not None
        await self._serve_while_leaving()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        if not self._forced.is_set():
            _logger.info("Draining %d connection(s) within %g s", len(state.connections), self.config.drain_s)
        if self.config.admission is not None:
            self.config.admission.going_away.set()
        drain = Drain(
            state.connections,
            state.tasks,
            has_pending=self._has_pending_handshake,
            websocket_class=self.config.ws_protocol_class,
            drain_s=self.config.drain_s,
            forced=self._forced,
        )
        await drain.run()
        try:
            async with asyncio.timeout(_LIFESPAN_S):
                await self.lifespan.shutdown()
        except TimeoutError:
            _logger.error("The application did not shut down within %g s", _LIFESPAN_S)
