"""The application: from an ASGI scope to a responder, and from an error to a response or a close code.

A subclass of Falcon's that replaces only what concerns WebSockets. This is the only module that uses Falcon's private
names; each of them is the same in Falcon 4.2 to 4.4.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from types import CoroutineType, MappingProxyType
from typing import TYPE_CHECKING, Any

import falcon
import falcon.asgi
from falcon.asgi._asgi_helpers import _validate_asgi_scope
from falcon.media import JSONHandler
from falcon.util.deprecation import DeprecatedWarning
from falcon.util.misc import _has_arg_name

from .closecodes import CloseCode, http_status_to_close_code
from .connection_events import close_event
from .disconnect_grace import DisconnectGrace
from .error_serializer import serialize_error
from .errors import TemporarilyUnavailable, WebSocketDisconnected, disconnect_in, sole_error
from .extension import GOING_AWAY_KEY
from .headers import clean_headers
from .hosts import HostPolicy, host_headers
from .log_text import describe_client, escape_for_log
from .media import loads_body
from .options import WebSocketOptions
from .request import Request
from .stream import Receive, Send
from .websocket import WebSocket

__all__ = ("App",)

if TYPE_CHECKING:
    from falcon.routing import CompiledRouter
    from typing_extensions import TypeVar

    # With defaults, so that annotations can say `falconws.App` without type arguments.
    _ReqT = TypeVar("_ReqT", bound=falcon.asgi.Request, contravariant=True, default=Request)
    _RespT = TypeVar("_RespT", bound=falcon.asgi.Response, contravariant=True, default=falcon.asgi.Response)
else:
    from typing import TypeVar

    _ReqT = TypeVar("_ReqT", bound=falcon.asgi.Request, contravariant=True)
    _RespT = TypeVar("_RespT", bound=falcon.asgi.Response, contravariant=True)

_FALLBACK_CLOSE_CODE = http_status_to_close_code(11)
"""3011, as in Falcon: sent when the server refuses ``error_close_code``."""

_RETRY_AFTER_S = 5

_logger = logging.getLogger("falconws")


class App(falcon.asgi.App[_ReqT, _RespT]):
    """An ASGI application: a drop-in for ``falcon.asgi.App``, with the WebSocket API of this package.

    Takes the same arguments. Requests are ``falconws.Request`` unless *request_type* is given, and ``on_websocket()``
    responders get a ``falconws.WebSocket``. The documentation lists the intended differences from Falcon under
    "Migrate from Falcon".
    """

    __slots__ = ("_host_policy", "_origins_warned", "_websocket_routes")

    ws_options: WebSocketOptions
    """Options of all WebSocket connections of this application."""

    _host_policy: HostPolicy | None
    _origins_warned: bool
    _websocket_routes: dict[str, Callable[..., Awaitable[None]]]

    if TYPE_CHECKING:

        def __init__(
            self,
            media_type: str = ...,
            request_type: type[_ReqT] | None = None,
            response_type: type[_RespT] | None = None,
            middleware: object | Iterable[object] | None = None,
            router: CompiledRouter | None = None,
            independent_middleware: bool = True,
            cors_enable: bool = False,
            sink_before_static_route: bool = True,
        ) -> None: ...

    else:

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._websocket_routes = {}
            self._host_policy = None
            self._origins_warned = False
            # The installed Falcon decides which arguments there are.
            bound = signature(falcon.asgi.App.__init__).bind(self, *args, **kwargs)
            if bound.arguments.get("request_type") is None:
                bound.arguments["request_type"] = Request
            super().__init__(*bound.args[1:], **bound.kwargs)
            self.ws_options = WebSocketOptions()
            self.set_error_serializer(serialize_error)
            # Falcon's own handler turns a few kilobytes of nested brackets into a 500 and a traceback.
            self.req_options.media_handlers[falcon.MEDIA_JSON] = JSONHandler(loads=loads_body)

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        suffix = kwargs.get("suffix")
        super().add_route(uri_template, resource, **kwargs)
        responder = getattr(resource, f"on_websocket_{suffix}" if suffix else "on_websocket", None)
        if responder is not None:
            self._websocket_routes[uri_template] = responder

    add_route.__doc__ = falcon.asgi.App.add_route.__doc__

    @property
    def websocket_routes(self) -> Mapping[str, Callable[..., Awaitable[None]]]:
        """The ``on_websocket()`` responder of each URI template that has one, in the order of ``add_route()``."""
        return MappingProxyType(self._websocket_routes)

    @property
    def allowed_hosts(self) -> Sequence[str] | None:
        """Which values of the ``Host`` header are answered, for HTTP and for WebSockets; others get a 421.

        A sequence of names without a port (``"example.com"``, ``"*.example.com"`` for all subdomains, ``"127.0.0.1"``,
        ``"[::1]"``), or None (the default), which allows all. It stops DNS rebinding: a page whose own name suddenly
        resolves to this server. Health checks of a load balancer often name an address: list it too.

        Raises:
            ValueError: An entry is not the name of a host; the message contains it.
        """
        return None if self._host_policy is None else self._host_policy.setting

    @allowed_hosts.setter
    def allowed_hosts(self, value: Sequence[str] | None) -> None:
        self._host_policy = None if value is None else HostPolicy(value)

    # Serving

    async def __call__(  # type: ignore[override]
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve *scope*: one WebSocket, one HTTP request, or the lifespan."""
        if scope["type"] == "websocket":
            # A connection may be idle for days: nothing that only its handshake needs is kept in a coroutine.
            ws = await self._admit(scope, receive, send)
            if ws is not None:
                try:
                    with DisconnectGrace(ws, self.ws_options):
                        await self._respond(scope, receive, ws)
                finally:
                    ws.release()
        elif scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif self._host_allowed(scope):
            await self._serve_http(scope, receive, send)
        else:
            await _send_text(send, 421, b"Host not allowed")

    async def _serve_http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve an HTTP request. Respond with a 500 to SystemExit and its like, and in place of a malformed header.

        A SystemExit would otherwise end the server. With a line break in a header, some servers would end the header
        there, and others would send no response at all.
        """
        malformed: ValueError | None = None
        started = False

        async def checking_send(event: dict[str, Any]) -> None:
            nonlocal malformed, started
            if event["type"] == "http.response.start":
                try:
                    event = {**event, "headers": clean_headers(event.get("headers") or ())}
                except ValueError as error:
                    malformed = error
                    raise
                started = True
            await send(event)

        try:
            await super().__call__(scope, receive, checking_send)
        except BaseException as error:
            if (isinstance(error, Exception) and error is not malformed) or _ends_the_task(error):
                raise
            self.ws_options.log_throttle.log_repeated(
                logging.ERROR,
                "%s - %s %s: the response is not sent",
                describe_client(scope.get("client")),
                scope["method"],
                escape_for_log(scope["path"]),
                error=error,
            )
            if started:
                raise RuntimeError(f"{scope['method']} {scope['path']} raised {type(error).__name__}") from None
            await _send_text(send, 500, b"Internal Server Error")

    async def _call_lifespan_handlers(self, ver: str, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if self._websocket_routes:
            self._warn_of_origins()
        await super()._call_lifespan_handlers(ver, scope, receive, send)

    async def _admit(self, scope: dict[str, Any], receive: Receive, send: Send) -> WebSocket | None:
        """Return the connection; None if the client gave up, or was refused because of its host or its origin."""
        asgi = scope.get("asgi") or {}
        version = _validate_asgi_scope("websocket", asgi.get("spec_version"), scope.get("http_version", "1.1"))
        receiving = receive()
        if (await receiving)["type"] != "websocket.connect":
            # The client gave up during the handshake, or the server does not speak WebSocket.
            await send(close_event(CloseCode.INTERNAL_ERROR, "Internal Server Error", version))
            return None
        # Only coroutines are known to be safe to cancel: see stream.py.
        cancellable = isinstance(receiving, CoroutineType)
        ws = WebSocket(scope, receive, send, version, self.ws_options, cancellable=cancellable)
        if not self._host_allowed(scope):
            status, text = 421, "Host not allowed"
        elif not self._origin_allowed(scope, ws):
            status, text = 403, "Origin not allowed"
        else:
            return ws
        try:
            # Where there are no denials, deny() would also log a warning for each such client.
            await (ws.deny(status, text=text) if ws.supports_denial else ws.close())
        finally:
            ws.release()
        return None

    async def _respond(self, scope: dict[str, Any], receive: Receive, ws: WebSocket) -> None:
        req = self._request_type(scope, receive, options=self.req_options)
        params: dict[str, Any] = {}
        request_middleware, resource_middleware = self._middleware_ws
        try:
            for process_request_ws in request_middleware:
                await process_request_ws(req, ws)
            responder: Any
            responder, params, resource, req.uri_template = self._get_responder(req)
            if resource:
                for process_resource_ws in resource_middleware:
                    await process_resource_ws(req, ws, resource, params)
                await responder(req, ws, **params)
            else:
                await self._call_sink(responder, req, ws, params)
            await ws.close()
        except BaseException as error:
            if _ends_the_task(error):
                raise
            await self._handle_websocket_error(req, ws, disconnect_in(error) or error, params)

    async def _handle_websocket_error(self, req: Any, ws: WebSocket, error: Any, params: dict[str, Any]) -> None:
        try:
            # Falcon looks for handlers of any class, though its type says Exception.
            if await self._handle_exception(req, None, error, params, ws=ws):
                return
        except BaseException as further:
            # The handler has failed too.
            if _ends_the_task(further):
                raise
            error = disconnect_in(further) or further
        # Nothing that a responder raises may end more than its own connection: sys.exit() would end the server.
        if isinstance(error, falcon.WebSocketDisconnected):
            await self._ws_disconnected_error_handler(req, None, error, params, ws=ws)
        else:
            await self._python_error_handler(req, None, error, params, ws=ws)

    async def _call_sink(
        self, sink: Callable[..., Awaitable[None]], req: Any, ws: WebSocket, params: dict[str, Any]
    ) -> None:
        """Call a sink, a static route or one of the default responders."""
        if "ws" not in params and _has_arg_name(sink, "ws"):
            await sink(req, None, ws=ws, **params)
            return
        if sink not in (type(self)._default_responder_bad_request, type(self)._default_responder_path_not_found):
            name = getattr(sink, "__qualname__", repr(sink))
            warnings.warn(
                f"Define the sink {name} as (req, resp, ws=None, **kwargs): receiving the WebSocket in place of resp "
                "is deprecated by Falcon.",
                category=DeprecatedWarning,
                stacklevel=2,
            )
        await sink(req, ws, **params)

    # Hosts and origins

    def _host_allowed(self, scope: dict[str, Any]) -> bool:
        policy = self._host_policy
        if policy is None:
            return True
        hosts = host_headers(scope["headers"])
        if policy.allows(hosts):
            return True
        self.ws_options.log_throttle.log_repeated(
            logging.WARNING,
            "Client %s refused with 421: host %s is not one of app.allowed_hosts = %r",
            describe_client(scope.get("client")),
            escape_for_log(", ".join(hosts)) or "(none)",
            policy.setting,
        )
        return False

    def _origin_allowed(self, scope: dict[str, Any], ws: WebSocket) -> bool:
        policy = self.ws_options.origin_policy
        if policy is None:
            self._warn_of_origins()
            return True
        if policy.setting == "*":
            return True
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        host = next(reversed(host_headers(scope["headers"])), None)
        scheme = scope.get("scheme", "ws")
        if policy.allows(origins, scheme, host):
            return True
        self.ws_options.log_throttle.log_repeated(
            logging.WARNING,
            "WebSocket client %s refused with 403: origin %s is not covered by ws_options.allowed_origins = %r "
            "(requested: %s://%s%s)",
            ws.client,
            escape_for_log(", ".join(origins)),
            policy.setting,
            escape_for_log(scheme, 20),
            escape_for_log(host or ""),
            escape_for_log(scope["path"]),
        )
        return False

    def _warn_of_origins(self) -> None:
        if self.ws_options.origin_policy is None and not self._origins_warned:
            self._origins_warned = True
            _logger.warning(
                "Any web page may open a WebSocket to this application with its user's cookies: set "
                'app.ws_options.allowed_origins to "same-origin" or to a list of origins, or to "*" if that is meant'
            )

    # Middleware

    def _prepare_middleware(self, middleware: Any, independent_middleware: bool = False) -> Any:
        prepared = super()._prepare_middleware(middleware, independent_middleware)
        request, resource = self._middleware_ws
        # The proposal's methods take no WebSocket, Falcon's do.
        self._middleware_ws = (
            tuple(_without_ws(method) if _positionals(method) == 1 else method for method in request),
            tuple(_without_ws(method) if _positionals(method) == 3 else method for method in resource),
        )
        return prepared

    # Errors

    async def _http_status_handler(  # type: ignore[override]
        self, req: Any, resp: Any, status: Any, params: dict[str, Any], ws: Any = None
    ) -> None:
        if ws is None:
            await super()._http_status_handler(req, resp, status, params)
        else:
            await self._end_for_http(req, ws, status, self._compose_status_response)

    async def _http_error_handler(  # type: ignore[override]
        self, req: Any, resp: Any, error: Any, params: dict[str, Any], ws: Any = None
    ) -> None:
        if ws is None:
            await super()._http_error_handler(req, resp, error, params)
        else:
            await self._end_for_http(req, ws, error, self._compose_error_response)

    async def _end_for_http(
        self, req: Any, ws: WebSocket, cause: Any, compose: Callable[[Any, Any, Any], object]
    ) -> None:
        """Refuse the handshake with the HTTP response that Falcon composes for *cause*; close after ``accept()``."""
        code = http_status_to_close_code(cause.status_code)
        if not ws.unaccepted:
            self.ws_options.log_throttle.log_repeated(
                logging.ERROR,
                "WebSocket client %s closed with %d: the responder raised %s",
                ws.client,
                code,
                type(cause).__name__,
            )
        if not ws.unaccepted or not 300 <= cause.status_code <= 599:
            # An HTTPStatus such as 204 can answer a request, but not a handshake.
            await ws.close(code)
            return
        response = self._response_type(options=self.resp_options)
        compose(req, response, cause)
        body = await response.render_body()
        headers = response._asgi_headers(self.resp_options.default_media_type if body else None)
        await ws.send_denial((response.status_code, list(headers), body or b""))

    async def _python_error_handler(  # type: ignore[override]
        self, req: Any, resp: Any, error: Any, params: dict[str, Any], ws: Any = None
    ) -> None:
        sole = sole_error(error)
        if sole is not error:
            # A task group raises a group of what its tasks raise.
            error = sole
            if await self._handle_exception(req, resp, error, params, ws=ws):
                return
        if isinstance(error, TemporarilyUnavailable):
            await self._answer_unavailable(req, resp, error, params, ws)
        elif ws is None:
            await super()._python_error_handler(req, resp, error, params)
        elif (how := ws.client_fault(error)) is not None:
            await self._close_for_client_fault(ws, error, *how)
        else:
            self.ws_options.log_throttle.log_repeated(
                logging.ERROR, "Unhandled exception while serving WebSocket client %s", ws.client, error=error
            )
            if ws.unaccepted and ws.supports_denial:
                await self._end_for_http(req, ws, falcon.HTTPInternalServerError(), self._compose_error_response)
            else:
                await self._ws_cleanup_on_error(ws)

    async def _answer_unavailable(
        self, req: Any, resp: Any, error: TemporarilyUnavailable, params: dict[str, Any], ws: WebSocket | None
    ) -> None:
        # The log says what is unavailable; the client must not learn it.
        self.ws_options.log_throttle.log_repeated(
            logging.WARNING,
            "%s %s: %s",
            "WebSocket" if ws is not None else req.method,
            escape_for_log(req.path),
            escape_for_log(error),
        )
        if ws is None or (ws.unaccepted and ws.supports_denial):
            unavailable = falcon.HTTPServiceUnavailable(retry_after=_RETRY_AFTER_S)
            await self._http_error_handler(req, resp, unavailable, params, ws=ws)
        else:
            await ws.close(CloseCode.TRY_AGAIN_LATER, "Try again later")

    async def _close_for_client_fault(self, ws: WebSocket, error: BaseException, code: CloseCode, reason: str) -> None:
        # Some of msgpack's errors have no text.
        explanation = escape_for_log(" ".join(str(error).split()) or type(error).__name__)
        self.ws_options.log_throttle.log_repeated(
            logging.WARNING, "WebSocket client %s closed with %d: %s", ws.client, code, explanation
        )
        await ws.close(code, reason)

    async def _ws_disconnected_error_handler(
        self, req: Any, resp: Any, error: falcon.WebSocketDisconnected, params: dict[str, Any], ws: Any = None
    ) -> None:
        # An error that the application made itself may be Falcon's, which has no reason.
        reason = error.reason if isinstance(error, WebSocketDisconnected) else ""
        # A server that shuts down also closes connections whose responder is sending: not the responder's fault.
        self.ws_options.log_throttle.log_repeated(
            logging.DEBUG if _closed_by_shutdown(req, ws) else logging.WARNING,
            "WebSocket client %s disconnected with code %d%s and the responder did not handle it",
            ws.client,
            error.code,
            f" ({escape_for_log(reason)})" if reason else "",
        )
        await self._ws_cleanup_on_error(ws)

    async def _ws_cleanup_on_error(self, ws: Any) -> None:
        try:
            await ws.close(self.ws_options.error_close_code)
        except Exception:
            # A ValueError of check_close(), or what the server raises for a code that it does not know.
            _logger.debug("Close code %r was refused", self.ws_options.error_close_code, exc_info=True)
            await ws.close(_FALLBACK_CLOSE_CODE)


async def _send_text(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _ends_the_task(error: BaseException) -> bool:
    """Return whether *error* was thrown into the task from outside, by a cancellation or when a coroutine is closed."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, GeneratorExit)


def _closed_by_shutdown(req: Any, ws: WebSocket) -> bool:
    """Return whether the server has closed the connection because it shuts down."""
    if ws.close_code != CloseCode.SERVICE_RESTART:
        return False
    # Where the server does not report that it shuts down, only the code shows it.
    going_away = (req.scope.get("extensions") or {}).get(GOING_AWAY_KEY)
    return going_away is None or going_away.is_set()


def _positionals(method: Callable[..., Any]) -> int | None:
    """Return how many positional arguments *method* takes, or None when it takes any number."""
    kinds: Iterable[Any] = [parameter.kind for parameter in signature(method).parameters.values()]
    if Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def _without_ws(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def call(req: Any, ws: WebSocket, *resource_and_params: Any) -> None:
        await method(req, *resource_and_params)

    return call


def middleware_of(app: falcon.asgi.App[Any, Any]) -> tuple[object, ...]:
    """Return the middleware objects of *app*, in the order in which they were added. Accepts Falcon's own app too."""
    return tuple(app._unprepared_middleware)
