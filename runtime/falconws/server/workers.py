"""The supervisor of several worker processes on one socket: it starts, replaces, restarts and stops them.

uvicorn's own supervisor runs uvicorn's own servers, and neither handles signals nor replaces a worker while another
one drains. Workers are spawned, never forked: an event loop does not survive a fork.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from types import FrameType
from typing import Any

from uvicorn.config import STARTUP_FAILURE

from falconws.server.config import ServerConfig
from falconws.server.server import Server

_GRACE_S = 5.0
"""Past the drain time, or a second signal, after which a worker is killed."""
_TICK_S = 0.1
_DRAIN, _FORCE_EXIT = "drain", "force exit"
"""Commands of the parent to a worker."""
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
"""The longest wait before the next attempt to replace a dead worker, if its last replacement did not start."""

_logger = logging.getLogger("falconws.server")
_spawn = multiprocessing.get_context("spawn")


class _Worker:
    """One worker process, seen from its parent."""

    def __init__(self, config: ServerConfig, listener: socket.socket, *, retry_delay_s: float = _FIRST_RETRY_S) -> None:
        self._reader, writer = _spawn.Pipe(duplex=False)
        commands, self._commands = _spawn.Pipe(duplex=False)
        self.process = _spawn.Process(target=_work, args=(config, listener, writer, commands))
        self.process.start()
        self._shutdown_s = config.drain_accept_s + config.drain_s + _GRACE_S
        writer.close()
        commands.close()
        self.kill_at: float | None = None
        """When it will be killed, once it was told to end."""
        self.ready = False
        self.retry_delay_s = retry_delay_s
        """The wait before it is replaced, if it does not start."""
        self.retry_at: float | None = None
        """When it will be replaced, once it has failed to start."""

    @property
    def is_serving(self) -> bool:
        return self.ready and self.process.is_alive()

    def poll(self) -> None:
        """Update `ready`."""
        if not self.ready:
            with contextlib.suppress(EOFError, OSError):
                self.ready = self._reader.poll() and self._reader.recv() == "ready"

    def terminate(self, *, accept: bool = True) -> None:
        """Drain the worker; with *accept* after the time for load balancers to notice."""
        if self.process.is_alive():
            if accept:
                self.process.terminate()
            else:
                self._command(_DRAIN)
            if self.kill_at is None:
                self.kill_at = time.monotonic() + self._shutdown_s

    def force_exit(self) -> None:
        """End the drain of the worker; at the second call, end the worker at once."""
        self._command(_FORCE_EXIT)
        self.kill_at = time.monotonic() + _GRACE_S

    def _command(self, command: str) -> None:
        with contextlib.suppress(OSError):
            self._commands.send(command)

    def close(self) -> None:
        self.process.join()
        self._reader.close()
        self._commands.close()
        self.process.close()


def _work(config: ServerConfig, listener: socket.socket, writer: Connection, commands: Connection) -> None:
    """Serve, in the worker process, and tell the parent when it is ready."""
    config.configure_logging()

    def report_ready() -> None:
        with contextlib.suppress(OSError):
            writer.send("ready")
            writer.close()

    server = Server(config, on_ready=report_ready)
    threading.Thread(target=_obey_parent, args=(commands, server), daemon=True).start()
    server.run(sockets=[listener])
    if server.exit_code:
        sys.exit(server.exit_code)


def _obey_parent(commands: Connection, server: Server) -> None:
    """Drain or end at once when the parent says so; return when it has died, which the server itself notices."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            if commands.recv() == _FORCE_EXIT:
                server.force_exit_now(signal.SIGTERM)
            else:
                server.config.drain_accept_s = 0.0
                os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Keeps `config.workers` workers serving on *listener*.

    SIGTERM and SIGINT drain all of them at the same time; a second signal ends the drain, and a third one ends them at
    once. SIGHUP replaces them one by one, each when its successor is ready. A worker that dies is replaced; if its
    replacement does not start, it is tried again as long as another worker serves.
    """

    def __init__(self, config: ServerConfig, listener: socket.socket) -> None:
        self._config = config
        self._listener = listener
        self._workers: list[_Worker] = []
        self._signals = 0
        self._restart_requested = False
        self._signal = 0
        self._to_replace: list[_Worker] = []
        self._successor: _Worker | None = None
        self._retiring: list[_Worker] = []

    def run(self) -> None:
        """Return when all workers have ended.

        Raises:
            SystemExit: Workers cannot start (3), or a second signal came (128 and its number).
        """
        with _handlers(self._on_exit_signal, self._on_hangup):
            self._workers = [self._start() for _ in range(self._config.workers)]
            try:
                self._wait_until_ready()
                while not self._signals:
                    self._tick()
            finally:
                self._stop()
        if self._signals > 1:
            sys.exit(128 + self._signal)

    def _on_exit_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._signal = number

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        self._restart_requested = True

    def _start(self, *, retry_delay_s: float = _FIRST_RETRY_S) -> _Worker:
        return _Worker(self._config, self._listener, retry_delay_s=retry_delay_s)

    def _wait_until_ready(self) -> None:
        """Wait until all workers are ready. One that fails now would fail again, so it ends the server."""
        while not self._signals:
            for worker in self._workers:
                worker.poll()
                if not worker.process.is_alive():
                    _logger.error("A worker did not start; the server stops.")
                    raise SystemExit(STARTUP_FAILURE)
            if all(worker.ready for worker in self._workers):
                _logger.info("%d workers are ready", len(self._workers))
                return
            self._pause()

    def _tick(self) -> None:
        self._replace_dead()
        if self._restart_requested:
            self._restart_requested = False
            if self._successor is not None:
                # It was started before the signal, perhaps from the old code.
                self._retire_successor(self._successor)
            self._to_replace = list(self._workers)
        self._step_rolling_restart()
        self._pause()

    def _replace_dead(self) -> None:
        for index, worker in enumerate(self._workers):
            worker.poll()
            if worker.process.is_alive():
                continue
            if worker.ready:
                _logger.error("Worker %s died with exit code %s", worker.process.pid, worker.process.exitcode)
            elif worker.retry_at is None:
                if not any(other.is_serving for other in self._workers):
                    _logger.error("A worker did not start; the server stops.")
                    raise SystemExit(STARTUP_FAILURE)
                _logger.error(
                    "Worker %s did not start; the next attempt is in %g s", worker.process.pid, worker.retry_delay_s
                )
                worker.retry_at = time.monotonic() + worker.retry_delay_s
                continue
            elif time.monotonic() < worker.retry_at:
                continue
            retry_delay_s = _FIRST_RETRY_S if worker.ready else min(2 * worker.retry_delay_s, _LONGEST_RETRY_S)
            worker.close()
            if worker in self._to_replace:
                self._to_replace.remove(worker)
            self._workers[index] = successor = self._start(retry_delay_s=retry_delay_s)
            _logger.info("Worker %s replaces it", successor.process.pid)

    def _step_rolling_restart(self) -> None:
        """Take the next step in replacing workers: start a successor, then drain its predecessor."""
        for worker in list(self._retiring):
            if self._has_ended(worker):
                self._retiring.remove(worker)
                if not self._to_replace and self._successor is None:
                    _logger.info("Rolling restart finished")
        if self._successor is not None:
            self._successor.poll()
            if self._successor.ready and self._to_replace:
                old = self._to_replace.pop(0)
                self._workers[self._workers.index(old)] = self._successor
                self._successor = None
                # Its successor accepts: load balancers need not know.
                old.terminate(accept=False)
                self._retiring.append(old)
            elif not self._successor.process.is_alive():
                _logger.error(
                    "A new worker did not start; the rolling restart stops, and the old workers go on serving."
                )
                self._retire_successor(self._successor)
                self._to_replace = []
            elif not self._to_replace:
                # The last worker to be replaced has died, and was replaced.
                self._retire_successor(self._successor)
        elif self._to_replace and not self._retiring:
            self._successor = self._start()

    def _retire_successor(self, successor: _Worker) -> None:
        successor.terminate(accept=False)
        self._retiring.append(successor)
        self._successor = None

    def _has_ended(self, worker: _Worker) -> bool:
        """Return whether a terminated worker has ended; kill it if it takes too long."""
        if not worker.process.is_alive():
            worker.close()
            return True
        if worker.kill_at is not None and time.monotonic() > worker.kill_at:
            _logger.error("Worker %s did not end in time and is killed", worker.process.pid)
            worker.kill_at = None
            worker.process.kill()
        return False

    def _stop(self) -> None:
        # Otherwise a client that connects while the workers drain would wait, and be reset in the end.
        self._listener.close()
        running = [*self._workers, *self._retiring, *([self._successor] if self._successor else [])]
        for worker in running:
            worker.terminate()
        passed_on = 1
        while running:
            if passed_on < self._signals:
                passed_on += 1
                for worker in running:
                    worker.force_exit()
            running = [worker for worker in running if not self._has_ended(worker)]
            if running:
                wait_for_any([worker.process.sentinel for worker in running], _TICK_S)

    def _pause(self) -> None:
        wait_for_any([worker.process.sentinel for worker in self._workers if worker.process.is_alive()], _TICK_S)


@contextlib.contextmanager
def _handlers(on_end: Callable[..., Any], on_hangup: Callable[..., Any]) -> Any:
    wanted = {signal.SIGTERM: on_end, signal.SIGINT: on_end}
    if os.name == "posix":
        wanted[signal.SIGHUP] = on_hangup
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
