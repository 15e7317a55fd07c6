"""The live server: the application on a real uvicorn and a real socket, for the duration of a ``with`` block.

Owns the server's thread, and its start and stop, each within a time limit. Knows nothing of WebSockets.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn

from .asgi import ASGIApp, Receive, Scope, Send, check_app, check_timeout
from .lifespan import Lifespan

__all__ = ("LiveServer",)

_HOST = "127.0.0.1"

_SLACK_S = 5.0
"""Seconds that uvicorn may take, beside the lifespan, to start and to stop."""


class LiveServer:
    """Serves an application with uvicorn on a free loopback port, in a thread with its own event loop.

    An exception that the application raises, in its lifespan, a request or a WebSocket, is raised again at the end of
    the block. An OSError is not: servers raise it in responders whose client is gone. A test removes the errors that
    it expects from :attr:`errors`.

    Args:
        app: Any ASGI application.
        timeout: Seconds that the start-up of the application, and its shutdown, may each take.
        uvicorn_options: Further arguments of ``uvicorn.Config``, such as ``ws="wsproto"``.

    Raises:
        falcon.CompatibilityError: *app* is not an ASGI application.
    """

    errors: list[Exception]
    """What the application has raised since the start."""

    def __init__(self, app: ASGIApp, *, timeout: float = 10.0, **uvicorn_options: Any) -> None:
        check_app(app)
        self.errors = []
        self._app = app
        self._timeout = check_timeout(timeout)
        self._options = uvicorn_options
        self._socket: socket.socket | None = None
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def port(self) -> int:
        """The TCP port. Raises RuntimeError outside of the ``with`` block."""
        if not self._port:
            raise RuntimeError("The LiveServer has a port only inside its 'with' block.")
        return self._port

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``. Raises like :attr:`port`."""
        return f"http://{_HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:PORT``. Raises like :attr:`port`."""
        return f"ws://{_HOST}:{self.port}"

    def __enter__(self) -> Self:
        """Start the server; it accepts connections when this returns.

        Raises:
            LifespanError: The application reported that it cannot start.
            TimeoutError: It was not ready in time.
            Exception: What the application's lifespan raised.
        """
        if self._thread is not None:
            raise RuntimeError("A LiveServer runs only once; create another one.")
        self._socket = socket.create_server((_HOST, 0))
        try:
            # Without a logging configuration: with uvicorn's own, its messages would not reach pytest's caplog.
            options = {"log_config": None, "log_level": None, "interface": "asgi3", "timeout_graceful_shutdown": 1}
            config = uvicorn.Config(self._observed, **{**options, **self._options})
            self._server = _Server(config, Lifespan(self._app, self._timeout))
            self._thread = threading.Thread(target=self._run, name="LiveServer", daemon=True)
            self._thread.start()
            self._server.settled.wait(self._timeout + _SLACK_S)
            if not self._server.started:
                self._stop()
                raise RuntimeError("uvicorn has ended without an error.")
            self._port = self._socket.getsockname()[1]
            return self
        finally:
            if not self._port:
                self._socket.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server: close clients with 1012, cancel responders after a second, and end the lifespan.

        Raises:
            LifespanError: The application reported that it failed to shut down.
            TimeoutError: The server has not stopped in time; its thread goes on.
            Exception: What the application raised.
        """
        self._port = 0
        try:
            self._stop()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"The live server also raised {type(failure).__name__}: {failure}")

    def _run(self) -> None:
        assert self._server is not None
        assert self._socket is not None
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as failure:
            self._failure = failure
        finally:
            self._server.settled.set()

    def _stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        assert self._socket is not None
        self._server.should_exit = True
        limit_s = self._timeout + _SLACK_S
        self._thread.join(limit_s)
        self._socket.close()
        if self._thread.is_alive():
            raise TimeoutError(f"The live server has not ended within {limit_s:g} s.")
        for failure in (*self.errors, self._failure):
            if failure is not None:
                raise failure

    async def _observed(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except OSError:
            raise
        except Exception as error:
            self.errors.append(error)
            raise


class _Server(uvicorn.Server):
    """uvicorn's server, with an event for its start, and with a lifespan that has time limits and raises errors."""

    def __init__(self, config: uvicorn.Config, lifespan: Lifespan) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        self._own_lifespan: Any = lifespan

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.config.lifespan != "off":
            self.lifespan = self._own_lifespan
        await super().startup(sockets=sockets)
        self.settled.set()
