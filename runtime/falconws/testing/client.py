"""The in-process client: HTTP through Falcon's own test conductor, WebSockets through :mod:`.websocket`.

Owns the lifespan around a test and the defaults of its requests. Knows nothing of ASGI events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

import falcon.testing
from falcon import WebSocketPayloadType

from falconws.closecodes import CloseCode
from falconws.media import JSONHandlerWS, MessagePackHandlerWS

from .asgi import ASGIApp, check_app, check_timeout
from .connection import Connection
from .http_exchange import Exchange
from .lifespan import Lifespan
from .scope import Headers, handshake_scope, header_pairs
from .websocket import ClientWebSocket, HandshakeDenied, MediaHandlers, connect

if TYPE_CHECKING:
    from falconws.typed import Conversation

    from .conversation import TypedWebSocket

In = TypeVar("In")
Out = TypeVar("Out")

__all__ = ("Client", "ClientWebSocket", "HandshakeDenied")


class Client(falcon.testing.ASGIConductor):
    """Calls an ASGI application in process: without a server or a network, and with a limit on every wait.

    ``async with Client(app) as client`` runs the application's lifespan around the block; without ``async with`` no
    lifespan runs. Besides :meth:`websocket` it has all methods of ``falcon.testing.ASGIConductor``, such as
    ``simulate_get()``, within the same time limit.

    Args:
        app: Any ASGI application.
        headers: Sent with every request and handshake, unless the call gives another value.
        timeout: Seconds that a single wait may take: start-up, handshake, receive, end of the responder,
            response, shutdown.
        backlog: How many messages may wait in either direction. An application that sends more waits in its
            send until the test receives, as with a slow client; ``backlog=1`` shows what it does then.
        media_handlers: Used by ``send_media`` and ``receive_media`` instead of JSON and MessagePack.

    Raises:
        falcon.CompatibilityError: *app* is not an ASGI application.
    """

    timeout: float

    def __init__(
        self,
        app: ASGIApp,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 5.0,
        backlog: int = 256,
        media_handlers: MediaHandlers | None = None,
    ) -> None:
        check_app(app)
        if backlog < 1:
            raise ValueError(f"The backlog is a number of messages and must be at least 1, not {backlog!r}.")
        self.timeout = check_timeout(timeout)
        self._asgi_app = app
        self._common_headers = dict(headers or {})
        self._backlog = backlog
        self._media_handlers: MediaHandlers = {
            WebSocketPayloadType.TEXT: JSONHandlerWS(),
            WebSocketPayloadType.BINARY: MessagePackHandlerWS(),
            **(media_handlers or {}),
        }
        self._lifespan: Lifespan | None = None
        self._connections: WeakSet[Connection] = WeakSet()
        # The base class counts the arguments of an application, which fails for some.
        super().__init__(Exchange(app, {}), headers)
        self.app = app  # type: ignore[assignment]

    async def __aenter__(self) -> Self:
        """Start the application. Raises like ``Lifespan.startup``."""
        self._lifespan = Lifespan(self._asgi_app, self.timeout)
        await self._lifespan.startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Shut the application down, even after an error. Raises like ``Lifespan.shutdown``.

        First closes WebSockets that other tasks still hold open with 1012, as a server does.
        """
        lifespan, self._lifespan = self._lifespan, None
        assert lifespan is not None
        connections = [connection for connection in self._connections if not connection.finished]
        for connection in connections:
            connection.leave(CloseCode.SERVICE_RESTART)
        await asyncio.gather(*(connection.end(self.timeout) for connection in connections))
        try:
            await lifespan.shutdown()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"The app's shutdown also raised {type(failure).__name__}: {failure}")
        return False

    def websocket(  # type: ignore[override]
        self,
        path: str = "/",
        *,
        subprotocols: Iterable[str] = (),
        headers: Headers | None = None,
        origin: str | None = None,
        query_string: str = "",
        root_path: str = "",
        scheme: str = "ws",
        timeout: float | None = None,
    ) -> AbstractAsyncContextManager[ClientWebSocket]:
        """Open a WebSocket for the length of an ``async with`` block.

        At the end of the block it is closed with 1000 if it is still open; then the block waits for the responder.

        Args:
            path: Plain or percent-encoded; may carry a query string.
            subprotocols: Offered to the application, in order of preference.
            headers: Added to those of the handshake, or replace them.
            origin: The Origin header; ``None`` sends none, like a client that is not a browser.
            query_string: Without the question mark.
            root_path: Where the application is mounted; passed as it is, without a change of the path.
            scheme: ``ws`` or ``wss``.
            timeout: Seconds for each wait on this connection instead of the client's.

        Raises:
            HandshakeDenied: The application answered with an HTTP response.
            TimeoutError: The handshake was not answered, or the responder did not end; the message says where it waits.
            Exception: The error that escaped from the application.
        """
        limit = self.timeout if timeout is None else check_timeout(timeout)
        own = header_pairs(headers)
        if origin is not None:
            own.append(("Origin", origin))
        scope = handshake_scope(
            path,
            query_string=query_string,
            root_path=root_path,
            scheme=scheme,
            subprotocols=subprotocols,
            headers=self._with_common(own),
        )
        scope["state"] = self._state()
        connection = Connection(self._asgi_app, scope, self._backlog)
        self._connections.add(connection)
        return connect(connection, limit, self._media_handlers)

    @asynccontextmanager
    async def converse(
        self, conversation: type[Conversation[In, Out]], path: str = "/", *, query: object = None, **options: Any
    ) -> AsyncIterator[TypedWebSocket[In, Out]]:
        """Open a WebSocket that speaks *conversation*, for the length of an ``async with`` block.

        Needs the extra ``falconws[typed]``.

        Args:
            conversation: The class that the responder ``@speaks``; its subprotocol is offered.
            path: As in :meth:`websocket`.
            query: The query: an instance of the conversation's ``query`` type, or a mapping.
            options: Further arguments of :meth:`websocket`. Raises like it.
        """
        from .conversation import TypedWebSocket, query_of

        if conversation.subprotocol is not None:
            options.setdefault("subprotocols", [conversation.subprotocol])
        if query is not None:
            options["query_string"] = query_of(query)
        async with self.websocket(path, **options) as ws:
            yield TypedWebSocket(conversation, ws)

    async def simulate_request(self, *args: Any, **kwargs: Any) -> Any:
        """Call the base class's method, within :attr:`timeout` and with the lifespan's state in the scope.

        Raises:
            TimeoutError: The response was not complete in time, or, for a stream, had not begun.
            Exception: The error that escaped from the application.
        """
        exchange, conductor = self._exchange(kwargs)
        return await exchange.within(self.timeout, conductor.simulate_request(*args, **kwargs))

    request = simulate_request

    def simulate_get_stream(  # type: ignore[override]
        self, path: str = "/", **kwargs: Any
    ) -> AbstractAsyncContextManager[falcon.testing.StreamedResult]:
        """Call the base class's method; the stream must begin, and end, within :attr:`timeout`.

        Reads from the stream have no time limit.
        """
        exchange, conductor = self._exchange(kwargs)
        return exchange.stream(self.timeout, conductor.simulate_get_stream(path, **kwargs))

    get_stream = simulate_get_stream  # type: ignore[assignment]

    def _exchange(self, kwargs: dict[str, Any]) -> tuple[Exchange, falcon.testing.ASGIConductor]:
        kwargs["headers"] = self._with_common(header_pairs(kwargs.get("headers")))
        exchange = Exchange(self._asgi_app, self._state())
        return exchange, falcon.testing.ASGIConductor(exchange)

    def _with_common(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        overridden = {name.lower() for name, _ in headers}
        return [pair for pair in self._common_headers.items() if pair[0].lower() not in overridden] + headers

    def _state(self) -> dict[str, Any]:
        return dict(self._lifespan.state) if self._lifespan is not None else {}
