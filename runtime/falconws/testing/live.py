"""The live server: the application on a real uvicorn and a real socket, for the duration of a ``with`` block.

Owns the server's thread, and its start and stop, each within a time limit. Knows nothing of WebSockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn

from .asgi import ASGIApp, Event, Receive, Scope, Send, check_app, check_timeout, suspended_at
from .lifespan import LifespanError

__all__ = ("LiveServer",)

_HOST = "127.0.0.1"


class LiveServer:
    """Serves an application with uvicorn on a free loopback port, in a thread with its own event loop.

    An exception that the application raises, in its lifespan, a request or a WebSocket, is raised again at the end of
    the block. An OSError is not: servers raise it in responders whose client is gone. A test removes the errors that
    it expects from :attr:`errors`.

    Args:
        app: Any ASGI application.
        timeout: Seconds that the start, and the stop, may each take.
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
        self._crash: BaseException | None = None
        self._lifespan_message = ""
        self._lifespan_task: asyncio.Task[Any] | None = None

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
            config = uvicorn.Config(
                self._observed,
                **{
                    "log_config": None,
                    "log_level": None,
                    "interface": "asgi3",
                    "timeout_graceful_shutdown": 1,
                    **self._options,
                },
            )
            self._server = _Server(config)
            self._thread = threading.Thread(target=self._run, name="LiveServer", daemon=True)
            self._thread.start()
            in_time = self._server.settled.wait(self._timeout)
            if self._server.started and not self.errors:
                self._port = self._socket.getsockname()[1]
                return self
            where = suspended_at(self._lifespan_task)
            self._stop(self._timeout if in_time else 0)
        finally:
            if not self._port:
                self._socket.close()
        if not in_time:
            raise TimeoutError(f"The app has not sent 'lifespan.startup.complete' within {self._timeout:g} s{where}.")
        self._raise_errors()
        raise LifespanError(
            f"The app has not started: {self._lifespan_message or self._crash or 'uvicorn ended at once'}"
        ) from self._crash

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
            late = self._stop(self._timeout)
            if late is not None:
                raise TimeoutError(f"The live server has not ended within {self._timeout:g} s{late}.")
            self._raise_errors()
            if self._crash is not None or self._lifespan_message:
                raise LifespanError(
                    f"The app has not shut down: {self._lifespan_message or self._crash}"
                ) from self._crash
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"The live server also raised {type(failure).__name__}: {failure}")

    def _raise_errors(self) -> None:
        if self.errors:
            raise self.errors[0]

    def _run(self) -> None:
        assert self._server is not None
        assert self._socket is not None
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as crash:
            # uvicorn calls sys.exit() when the lifespan fails.
            self._crash = crash
        finally:
            self._server.settled.set()

    def _stop(self, timeout: float) -> str | None:
        """Stop the thread; return ``None``, or where the lifespan waits if that took more than *timeout* seconds."""
        assert self._server is not None
        assert self._thread is not None
        assert self._socket is not None
        self._server.should_exit = True
        self._thread.join(timeout)
        try:
            if not self._thread.is_alive():
                return None
            where = suspended_at(self._lifespan_task)
            self._server.cancel()
            self._thread.join(self._timeout)
            return where if not self._thread.is_alive() else f"{where}, nor after it was cancelled"
        finally:
            self._socket.close()

    async def _observed(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._observed_lifespan(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except OSError:
            raise
        except Exception as error:
            self.errors.append(error)
            raise

    async def _observed_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = False

        async def observed_receive() -> Event:
            nonlocal asked
            asked = True
            return await receive()

        async def observed_send(event: Event) -> None:
            if event["type"].endswith(".failed"):
                self._lifespan_message = event.get("message") or "it gave no reason"
            await send(event)

        self._lifespan_task = asyncio.current_task()
        try:
            await self._app(scope, observed_receive, observed_send)
        except Exception as error:
            # Raised before the first event, it means that the app does not support lifespan (ASGI "Lifespan Protocol").
            if asked and not self._lifespan_message:
                self.errors.append(error)
            raise


class _Server(uvicorn.Server):
    """uvicorn's server, with an event for its start, and a way to cancel it from another thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[Any] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        await super().startup(sockets=sockets)
        self.settled.set()

    def cancel(self) -> None:
        """Cancel everything that runs in the server's event loop."""
        if self._loop is not None and self._main is not None:
            # The loop may close at this very moment.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)
