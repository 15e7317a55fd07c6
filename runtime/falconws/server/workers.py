"""Several worker processes on one socket: started, replaced when they die, restarted in turn, drained.

uvicorn's supervisor makes uvicorn's own servers, and neither listens to signals nor starts a worker
again while one drains. Workers are spawned, never forked: an event loop does not survive a fork.
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
"""Past the drain, after which a worker is killed."""
_TICK_S = 0.1
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
"""Before the next attempt to replace a worker that has died, when the last one did not start."""

_logger = logging.getLogger("falconws.server")
_spawn = multiprocessing.get_context("spawn")


class _Worker:
    """One worker process, as its parent sees it."""

    def __init__(self, config: ServerConfig, listener: socket.socket, *, pause_s: float = _FIRST_PAUSE_S) -> None:
        self._reader, writer = _spawn.Pipe(duplex=False)
        orders, self._orders = _spawn.Pipe(duplex=False)
        self.process = _spawn.Process(target=_work, args=(config, listener, writer, orders))
        self.process.start()
        writer.close()
        orders.close()
        self.asked_at: float | None = None
        self.ready = False
        self.pause_s = pause_s
        """Before another is started in its place, if this one does not start."""
        self.next_at: float | None = None
        """When that will be, once it has not."""

    @property
    def serves(self) -> bool:
        return self.ready and self.process.is_alive()

    def look(self) -> None:
        """Notice whether the worker has become ready."""
        if not self.ready:
            with contextlib.suppress(EOFError, OSError):
                self.ready = self._reader.poll() and self._reader.recv() == "ready"

    def ask_to_end(self) -> None:
        if self.process.is_alive():
            self.process.terminate()
            self.asked_at = self.asked_at or time.monotonic()

    def hurry(self) -> None:
        with contextlib.suppress(OSError):
            self._orders.send("hurry")

    def close(self) -> None:
        self.process.join()
        self._reader.close()
        self._orders.close()
        self.process.close()


def _work(config: ServerConfig, listener: socket.socket, writer: Connection, orders: Connection) -> None:
    """Run in the worker: serve, and tell the parent when serving has begun."""
    config.configure_logging()

    def tell() -> None:
        with contextlib.suppress(OSError):
            writer.send("ready")
            writer.close()

    server = Server(config, on_ready=tell)
    threading.Thread(target=_obey, args=(orders, server), daemon=True).start()
    server.run(sockets=[listener])
    if server.exit_code:
        sys.exit(server.exit_code)


def _obey(orders: Connection, server: Server) -> None:
    """Hurry when the parent says so; drain when it is gone, for nobody would replace this worker, or stop it."""
    try:
        orders.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        server.hurry(signal.SIGTERM)


class Supervisor:
    """Keeps `config.workers` workers serving on *listener*.

    SIGTERM and SIGINT drain all of them at once; a second one ends at once. SIGHUP replaces them one
    after the other, each when its successor serves. One that dies is replaced; when that fails it is
    tried again, as long as another one serves.
    """

    def __init__(self, config: ServerConfig, listener: socket.socket) -> None:
        self._config = config
        self._listener = listener
        self._workers: list[_Worker] = []
        self._ending = 0
        self._restart = False
        self._signal = 0
        self._to_replace: list[_Worker] = []
        self._successor: _Worker | None = None
        self._retiring: list[_Worker] = []

    def run(self) -> None:
        """Return when all workers have ended.

        Raises:
            SystemExit: Workers cannot start (3), or a second signal came (128 and its number).
        """
        with _handlers(self._on_end, self._on_hangup):
            self._workers = [self._start() for _ in range(self._config.workers)]
            try:
                self._watch_start()
                while not self._ending:
                    self._tick()
            finally:
                self._end()
        if self._ending > 1:
            sys.exit(128 + self._signal)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self._ending += 1
        self._signal = number

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        self._restart = True

    def _start(self, *, pause_s: float = _FIRST_PAUSE_S) -> _Worker:
        return _Worker(self._config, self._listener, pause_s=pause_s)

    def _watch_start(self) -> None:
        """Wait until all workers serve; one that fails now would fail again."""
        while not self._ending:
            for worker in self._workers:
                worker.look()
                if not worker.process.is_alive():
                    _logger.error("A worker did not start; stopping.")
                    raise SystemExit(STARTUP_FAILURE)
            if all(worker.ready for worker in self._workers):
                _logger.info("%d workers serve", len(self._workers))
                return
            self._pause()

    def _tick(self) -> None:
        self._replace_dead()
        if self._restart:
            self._restart = False
            if self._successor is not None:
                # It has been started before, perhaps from what is to be replaced.
                self._dismiss(self._successor)
            self._to_replace = list(self._workers)
        self._roll()
        self._pause()

    def _replace_dead(self) -> None:
        for index, worker in enumerate(self._workers):
            worker.look()
            if worker.process.is_alive():
                continue
            if worker.ready:
                _logger.error("Worker %s died with exit code %s", worker.process.pid, worker.process.exitcode)
            elif worker.next_at is None:
                if not any(other.serves for other in self._workers):
                    _logger.error("A worker did not start; stopping.")
                    raise SystemExit(STARTUP_FAILURE)
                _logger.error("Worker %s did not start; another try in %g s", worker.process.pid, worker.pause_s)
                worker.next_at = time.monotonic() + worker.pause_s
                continue
            elif time.monotonic() < worker.next_at:
                continue
            pause_s = _FIRST_PAUSE_S if worker.ready else min(2 * worker.pause_s, _LONGEST_PAUSE_S)
            worker.close()
            if worker in self._to_replace:
                self._to_replace.remove(worker)
            self._workers[index] = successor = self._start(pause_s=pause_s)
            _logger.info("It is replaced by worker %s", successor.process.pid)

    def _roll(self) -> None:
        """Go one step further in replacing workers: a successor first, then its predecessor drains."""
        for worker in list(self._retiring):
            if self._is_over(worker):
                self._retiring.remove(worker)
                if not self._to_replace and self._successor is None:
                    _logger.info("Rolling restart finished")
        if self._successor is not None:
            self._successor.look()
            if self._successor.ready and self._to_replace:
                old = self._to_replace.pop(0)
                self._workers[self._workers.index(old)] = self._successor
                self._successor = None
                old.ask_to_end()
                self._retiring.append(old)
            elif not self._successor.process.is_alive():
                _logger.error("A new worker did not start; the rolling restart stops, the old workers serve on.")
                self._dismiss(self._successor)
                self._to_replace = []
            elif not self._to_replace:
                # The last one died, and has been replaced.
                self._dismiss(self._successor)
        elif self._to_replace and not self._retiring:
            self._successor = self._start()

    def _dismiss(self, successor: _Worker) -> None:
        successor.ask_to_end()
        self._retiring.append(successor)
        self._successor = None

    def _is_over(self, worker: _Worker) -> bool:
        """Return whether a worker that was asked to end has; one that takes too long is killed."""
        if not worker.process.is_alive():
            worker.close()
            return True
        if worker.asked_at is not None and time.monotonic() - worker.asked_at > self._config.drain_s + _GRACE_S:
            worker.process.kill()
        return False

    def _end(self) -> None:
        # Else whoever connects while the workers drain would be kept waiting, and reset in the end.
        self._listener.close()
        left = [*self._workers, *self._retiring, *([self._successor] if self._successor else [])]
        for worker in left:
            worker.ask_to_end()
        hurried = False
        while left:
            if self._ending > 1 and not hurried:
                hurried = True
                for worker in left:
                    worker.hurry()
            left = [worker for worker in left if not self._is_over(worker)]
            if left:
                wait_for_any([worker.process.sentinel for worker in left], _TICK_S)

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
