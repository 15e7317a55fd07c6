"""The application that every server serves in the contract suite.

One route a behaviour, ``/name/{run}``. A responder does what a user's would, and notes in the run's journal what it
saw.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import os
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any, cast

import falcon
import falcon.asgi

import falconws
from falconws import Request, WebSocket, WebSocketDisconnected, WebSocketPayloadType

from .journal import RUNS, GateResource, JournalResource, LogToJournal, Run, current_run

Responder = Callable[[Request, WebSocket, Run], Awaitable[None]]

TEXT, BINARY = WebSocketPayloadType.TEXT, WebSocketPayloadType.BINARY


def describe(error: BaseException) -> dict[str, Any]:
    """Return what a test wants to know of an error, fit for JSON."""
    kinds = [kind.__name__ for kind in type(error).__mro__[:-3]]
    details = {name: getattr(error, name) for name in ("code", "reason") if hasattr(error, name)}
    return {"kinds": kinds, "text": str(error), **details}


# Middleware


class ProposalMiddleware:
    """With the proposal's signatures."""

    async def process_request_ws(self, req: Request) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("proposal.process_request_ws", path=req.path)

    async def process_resource_ws(self, req: Request, resource: object, params: dict[str, Any]) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("proposal.process_resource_ws", resource=type(resource).__name__, params=sorted(params))


class FalconMiddleware:
    """With Falcon's signatures."""

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        if "state" in scope:
            scope["state"]["greeting"] = "made at start-up"

    async def process_request_ws(self, req: Request, ws: WebSocket) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("falcon.process_request_ws", unaccepted=ws.unaccepted)
        if req.get_header("X-Middleware") == "close":
            await ws.close()
        if req.get_header("X-Middleware") == "401":
            raise falcon.HTTPUnauthorized(
                title="Token missing", description="Send one.", challenges=['Bearer realm="contract"']
            )

    async def process_resource_ws(self, req: Request, ws: WebSocket, resource: object, params: dict[str, Any]) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("falcon.process_resource_ws", unaccepted=ws.unaccepted)
        if req.get_header("X-Middleware") == "429":
            raise falcon.HTTPTooManyRequests(title="Slow down", retry_after=7)
        if req.get_header("X-Middleware") == "params":
            params["added"] = "by middleware"


def _run_of(req: Request) -> Run:
    return RUNS[req.path.rpartition("/")[2]]


# Error handlers


class TeapotError(Exception):
    """Handled by a handler that takes the WebSocket."""


class KettleError(Exception):
    """Handled by a handler without the ``ws`` argument."""


async def handle_teapot(
    req: Request, resp: object, error: TeapotError, params: dict[str, Any], ws: WebSocket | None = None
) -> None:
    _run_of(req).note("teapot handled", resp=resp is None, params=sorted(params), ws=type(ws).__name__)
    if ws is not None:
        await ws.close(4418, "teapot")


async def handle_kettle(req: Request, resp: object, error: KettleError, params: dict[str, Any]) -> None:
    _run_of(req).note("kettle handled")
    raise falcon.HTTPConflict(title="Kettle", headers={"X-Kettle": "on"})


# Apps: the options are those of an app, so some promises need their own

main: falconws.App[Any, Any] = falconws.App(middleware=cast(Any, [ProposalMiddleware(), FalconMiddleware()]))
main.ws_options.allowed_origins = "*"
main.add_error_handler(TeapotError, handle_teapot)
main.add_error_handler(KettleError, handle_kettle)


class ShoutHandler(falconws.TextBaseHandlerWS):
    """A custom TEXT handler."""

    def serialize(self, media: object) -> str:
        return str(media).upper()

    def deserialize(self, payload: str) -> object:
        return payload.lower()


class KindOfBytesHandler(falconws.BinaryBaseHandlerWS):
    """A custom BINARY handler whose ``serialize()`` returns each type that the proposal allows."""

    def serialize(self, media: object) -> bytes | bytearray | memoryview:
        kinds: list[Any] = [bytes, bytearray, memoryview]
        kind, text = str(media).split(":")
        payload: bytes | bytearray | memoryview = kinds[int(kind)](text.encode())
        return payload

    def deserialize(self, payload: bytes) -> object:
        return type(payload).__name__ + ":" + payload.decode()


custom_media: falconws.App[Any, Any] = falconws.App()
custom_media.ws_options.allowed_origins = "*"
custom_media.ws_options.media_handlers[TEXT] = ShoutHandler()
custom_media.ws_options.media_handlers[BINARY] = KindOfBytesHandler()
custom_media.ws_options.error_close_code = 4500


class OriginWitness:
    """Notes that application code ran."""

    async def process_request_ws(self, req: Request, ws: WebSocket) -> None:
        _run_of(req).note("application code ran")


def _origins(name: str, setting: Any) -> falconws.App[Any, Any]:
    restricted: falconws.App[Any, Any] = falconws.App(middleware=cast(Any, [OriginWitness()]))
    restricted.ws_options.allowed_origins = setting
    restricted.add_route(f"/{name}/{{run}}", ROUTES["echo"])
    return restricted


# Routes

ROUTES: dict[str, Any] = {}


def websocket(name: str, app: falconws.App[Any, Any] = main) -> Callable[[Responder], Responder]:
    """Serve the decorated function at ``/name/{run}``."""

    def register(responder: Responder) -> Responder:
        class Resource:
            async def on_websocket(self, req: Request, ws: WebSocket, run: str) -> None:
                await responder(req, ws, RUNS[run])

        ROUTES[name] = Resource()
        app.add_route(f"/{name}/{{run}}", ROUTES[name])
        return responder

    return register


@websocket("echo")
async def echo(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    while True:
        try:
            await ws.send_text(await ws.receive_text())
        except WebSocketDisconnected as error:
            run.note("disconnected", **describe(error))
            return


@websocket("echo-data")
async def echo_data(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    while True:
        try:
            payload = await ws.receive_data()
            run.note("received", type=type(payload).__name__, size=len(payload))
            await ws.send_data(payload)
        except WebSocketDisconnected:
            return


@websocket("echo-media")
async def echo_media(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    async for media in ws:
        run.note("received", type=type(media).__name__, media=repr(media))
        kind = BINARY if req.get_param_as_bool("binary") else TEXT
        await ws.send_media(media, payload_type=kind)


# Handshake


class BothResource:
    """HTTP and WebSocket side by side, with a parameter in the template."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, account_id: str, run: str) -> None:
        resp.media = {"account": account_id}

    async def on_websocket(self, req: Request, ws: WebSocket, account_id: str, run: str) -> None:
        await ws.accept()
        await ws.send_media(
            {
                "account": account_id,
                "header": req.get_header("Some-Header"),
                "missing": req.get_header("Missing"),
                "query": req.params,
                "cookie": req.cookies.get("session"),
                "host": req.host,
                "port": req.port,
                "path": req.path,
            }
        )

    async def on_websocket_other(self, req: Request, ws: WebSocket, account_id: str, run: str) -> None:
        await ws.accept()
        await ws.send_text(f"other responder for {account_id}")


main.add_route("/{account_id}/messages/{run}", BothResource())
main.add_route("/{account_id}/other/{run}", BothResource(), suffix="other")


class HTTPOnlyResource:
    async def on_get(self, req: Request, resp: falcon.asgi.Response, run: str) -> None:
        resp.text = "only HTTP here"


main.add_route("/http-only/{run}", HTTPOnlyResource())


async def hook(req: Request, ws: WebSocket, resource: object, params: dict[str, Any]) -> None:
    if req.get_param("hook") == "deny":
        raise falcon.HTTPLocked(title="Hook says no")
    params["hooked"] = "by the hook"


class HookedResource:
    @falcon.before(cast(Any, hook))
    async def on_websocket(self, req: Request, ws: WebSocket, run: str, hooked: str) -> None:
        await ws.accept()
        await ws.send_text(hooked)


main.add_route("/hooked/{run}", HookedResource())


async def sink(req: Request, resp: object, ws: WebSocket | None = None, **params: Any) -> None:
    if ws is not None:
        await ws.accept()
        await ws.send_text(f"sink for {params['what']}")


main.add_sink(sink, r"/sink/(?P<what>[a-z]+)/")


@websocket("close-before-accept")
async def close_before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    code = req.get_param_as_int("code")
    await (ws.close() if code is None else ws.close(code=code))
    run.note("closed", closed=ws.closed, unaccepted=ws.unaccepted, ready=ws.ready)


@websocket("return-without-accept")
async def return_without_accept(req: Request, ws: WebSocket, run: Run) -> None:
    run.note("returned")


@websocket("subprotocol")
async def subprotocol(req: Request, ws: WebSocket, run: Run) -> None:
    run.note("offered", subprotocols=list(ws.subprotocols), before=ws.subprotocol)
    if "wamp" not in ws.subprotocols:
        return
    await ws.accept(subprotocol="wamp")
    run.note("accepted", subprotocol=ws.subprotocol)
    await ws.send_text("hello")


@websocket("accept-headers")
async def accept_headers(req: Request, ws: WebSocket, run: Run) -> None:
    pairs = [("X-Contract", "kept"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    await ws.accept(headers=dict(pairs[:2]) if req.get_param_as_bool("mapping") else pairs)
    await ws.receive_text()


@websocket("states")
async def states(req: Request, ws: WebSocket, run: Run) -> None:
    def note(when: str) -> None:
        run.note(when, unaccepted=ws.unaccepted, ready=ws.ready, closed=ws.closed, code=ws.close_code)

    async def refused(when: str, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await call()
        except (falconws.OperationNotAllowed, WebSocketDisconnected) as error:
            run.note(when, **describe(error))
        else:
            run.note(when, kinds=[])

    note("before accept")
    await refused("send before accept", lambda: ws.send_text("too early"))
    await refused("receive before accept", ws.receive_text)
    await ws.accept()
    note("after accept")
    await refused("second accept", ws.accept)
    await refused("deny after accept", ws.deny)
    await ws.close(4000)
    note("after close")
    await refused("send after close", lambda: ws.send_text("too late"))
    await refused("receive after close", ws.receive_text)
    await ws.close()
    await ws.close(4001)
    note("after three closes")


@websocket("state")
async def state(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media(req.state)


# Refusing with an HTTP response


@websocket("http-error")
async def http_error(req: Request, ws: WebSocket, run: Run) -> None:
    if req.get_param("kind") == "429":
        raise falcon.HTTPTooManyRequests(title="Slow down", description="Too many.", retry_after=7)
    if req.get_param("kind") == "401":
        raise falcon.HTTPUnauthorized(title="Token missing", challenges=["Bearer", 'Basic realm="x"'])
    if req.get_param("kind") == "kettle":
        raise KettleError
    raise falcon.HTTPStatus(falcon.HTTP_307, headers={"Location": "/elsewhere"}, text="over there")


@websocket("fault-before-accept")
async def fault_before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    raise RuntimeError("a fault of the application")


@websocket("deny")
async def deny(req: Request, ws: WebSocket, run: Run) -> None:
    match req.get_param("body"):
        case "text":
            await ws.deny(429, headers={"Retry-After": "7"}, text="später")
        case "data":
            await ws.deny(418, headers=[("Content-Type", "image/x-pot")], data=b"\x00\xff")
        case "media":
            await ws.deny(falcon.HTTP_422, media={"field": "name"})
        case _:
            await ws.deny()
    run.note("denied", closed=ws.closed, supported=ws.supports_denial)


# Sending and receiving


@websocket("send-kinds")
async def send_kinds(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_data(b"bytes")
    buffer = bytearray(b"bytearray")
    await ws.send_data(buffer)
    buffer[:] = b"overwrite"
    await ws.send_data(memoryview(b"a memoryview!")[2:12])
    for wrong in (ws.send_text(b"bytes"), ws.send_data("text")):  # type: ignore[arg-type]
        try:
            await wrong
        except TypeError as error:
            run.note("refused", **describe(error))
    await ws.send_text("done")


@websocket("send-media")
async def send_media(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media({"event": "message", "ü": [1, None, 2.5]})
    await ws.send_media({"event": "message", "raw": b"\x00\xff"}, payload_type=BINARY)
    try:
        await ws.send_media(float("nan"))
    except ValueError:
        await ws.send_media("NaN is not JSON")


@websocket("custom-media", app=custom_media)
async def custom(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media("loud")
    for kind in range(3):
        await ws.send_media(f"{kind}:payload", payload_type=BINARY)
    run.note("received", media=[await ws.receive_media(), await ws.receive_media()])


@websocket("custom-error-code", app=custom_media)
async def custom_error_code(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    raise RuntimeError("a fault of the application")


@websocket("recover")
async def recover(req: Request, ws: WebSocket, run: Run) -> None:
    """The proposal's loop: errors in what the client sent do not end the conversation."""
    await ws.accept()
    receive = {"text": ws.receive_text, "data": ws.receive_data, "media": ws.receive_media}[str(req.params["what"])]
    while True:
        try:
            await receive()
            await ws.send_text("fine")
        except WebSocketDisconnected:
            return
        except TypeError as error:
            run.note("failed", **describe(error))
            await ws.send_text("type")
        except json.JSONDecodeError as error:
            run.note("failed", **describe(error))
            await ws.send_text("json")
        except ValueError as error:
            run.note("failed", **describe(error))
            await ws.send_text("value")


@websocket("iterate")
async def iterate(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    messages: Any = {"media": ws, "text": ws.iter_text(), "data": ws.iter_data()}[str(req.params["what"])]
    async for message in messages:
        run.note("message", type=type(message).__name__)
        await ws.send_text("next")
    run.note("loop ended", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("collect")
async def collect(req: Request, ws: WebSocket, run: Run) -> None:
    """Accept, wait at the gate, and receive all that the client sent before it left."""
    await ws.accept()
    await run.gate("receive")
    got = []
    try:
        while True:
            got.append(await ws.receive_text())
    except WebSocketDisconnected as error:
        run.note("collected", got=got, **describe(error))
    try:
        await ws.receive_text()
    except WebSocketDisconnected as error:
        run.note("again", **describe(error))


@websocket("receive-timeout")
async def receive_timeout(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    for timeout in (0.01, 0.05):
        try:
            await ws.receive_text(timeout=timeout)
        except TimeoutError as error:
            await ws.send_text("timed out")
            run.note("timed out", **describe(error))
    got: list[str] = []
    timeouts = 0
    while not got or got[-1] != "end":
        try:
            got.append(await ws.receive_text(timeout=0.001))
        except TimeoutError:
            timeouts += 1
    run.note("collected", got=got, timeouts=timeouts)


@websocket("cancelled-receives")
async def cancelled_receives(req: Request, ws: WebSocket, run: Run) -> None:
    """Cancel receives at every point of their life while messages arrive; acknowledge to make the client go on."""
    await ws.accept()
    luck = random.Random(req.get_param_as_int("seed"))
    got: list[str] = []
    cancelled = 0
    while not got or got[-1] != "end":
        receiving = asyncio.create_task(ws.receive_text())
        patience = luck.randrange(5)
        if patience == 4:
            await asyncio.wait([receiving], timeout=0.001)
        for _ in range(patience):
            await asyncio.sleep(0)
        receiving.cancel()
        try:
            got.append(await receiving)
        except asyncio.CancelledError:
            cancelled += 1
    run.note("collected", got=got, cancelled=cancelled)


@websocket("two-receivers")
async def two_receivers(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    first = asyncio.create_task(ws.receive_text())
    await asyncio.sleep(0)
    try:
        await ws.receive_text()
    except falconws.OperationNotAllowed as error:
        run.note("second receiver", **describe(error))
    await ws.send_text("now")
    run.note("first receiver", got=await first)
    run.note("later", got=await ws.receive_text())


@websocket("concurrent-sends")
async def concurrent_sends(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()

    async def send(number: int) -> None:
        size = (10, 200, 3000, 40_000)[number % 4]
        letter = chr(ord("a") + number % 26)
        if number % 2:
            await ws.send_text(f"{number}:" + letter * size)
        else:
            await ws.send_data(f"{number}:".encode() + letter.encode() * size)

    await asyncio.gather(*(send(number) for number in range(1000)))
    await ws.close()


@websocket("parallel-loops")
async def parallel_loops(req: Request, ws: WebSocket, run: Run) -> None:
    """The proposal's pair of loops, with ``create_task``."""
    await ws.accept()
    messages: collections.deque[str] = collections.deque()
    arrived = asyncio.Event()

    async def receive() -> None:
        while True:
            try:
                messages.append(await ws.receive_text())
            except WebSocketDisconnected:
                break
            finally:
                arrived.set()

    receiving = falconws.create_task(receive())
    while not receiving.done():
        await arrived.wait()
        arrived.clear()
        while ws.ready and messages:
            await ws.send_text(messages.popleft())
        await asyncio.sleep(0)
    run.note("ended", code=ws.close_code, ready=ws.ready)


@websocket("task-scope")
async def task_scope(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()

    async def reader() -> None:
        try:
            while (message := await ws.receive_text()) != "stop":
                if message == "fail":
                    raise TeapotError
                run.note("reader got", message=message)
        finally:
            run.note("reader ended")

    async def writer() -> None:
        try:
            for number in range(3):
                await ws.send_text(str(number))
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            run.note("writer cancelled")
            raise

    async with ws.task_scope() as scope:
        scope.create_task(reader())
        scope.create_task(writer())
    run.note("scope left", closed=ws.closed, code=ws.close_code)
    if not ws.closed:
        await ws.close(4000, "scope left")


# The end of a connection


@websocket("close")
async def close(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    code = req.get_param_as_int("code")
    if code is None:
        await ws.close()
    else:
        await ws.close(code, req.get_param("reason"))
    run.note("closed", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("invalid-close")
async def invalid_close(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    attempts: list[tuple[int, str | None]] = [
        (code, None) for code in (-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536)
    ]
    attempts.append((4000, "ü" * 62))
    for code, reason in attempts:
        try:
            await ws.close(code, reason)
        except ValueError as error:
            run.note("refused", code=code, text=str(error), ready=ws.ready)
    await ws.send_text("still open")
    await ws.close(4999, "ü" * 61)


@websocket("return")
async def return_after_accept(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()


@websocket("fail")
async def fail(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    match req.get_param("kind"):
        case "404":
            raise falcon.HTTPNotFound(title="No such room")
        case "status":
            raise falcon.HTTPStatus(falcon.HTTP_204)
        case "teapot":
            raise TeapotError
        case "kettle":
            raise KettleError
        case _:
            raise RuntimeError("a fault of the application")


@websocket("receive-unhandled")
async def receive_unhandled(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    receive = {"text": ws.receive_text, "data": ws.receive_data, "media": ws.receive_media}[str(req.params["what"])]
    while True:
        await receive()


@websocket("send-only")
async def send_only(req: Request, ws: WebSocket, run: Run) -> None:
    """Sends for ever and never receives."""
    await ws.accept()
    try:
        await ws.send_text("started")
        await run.gate("send")
        while True:
            await ws.send_text("tick")
            await asyncio.sleep(0.005)
    except WebSocketDisconnected as error:
        run.note("disconnected", **describe(error))
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("wait-only")
async def wait_only(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    run.note("waiting")
    await ws.wait_disconnected()
    await ws.wait_disconnected()
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("wait-and-receive")
async def wait_and_receive(req: Request, ws: WebSocket, run: Run) -> None:
    """Another task waits for the end while this one receives; no message goes missing."""
    await ws.accept()

    async def watch() -> None:
        await ws.wait_disconnected()
        run.note("watch saw", code=ws.close_code)

    watching = falconws.create_task(watch())
    got = [message async for message in ws.iter_text()]
    await watching
    run.note("collected", got=got)


@websocket("busy")
async def busy(req: Request, ws: WebSocket, run: Run) -> None:
    """Neither sends nor receives, nor looks whether the client is still there."""
    await ws.accept()
    run.note("busy")
    await run.gate("done")


@websocket("poll-closed")
async def poll_closed(req: Request, ws: WebSocket, run: Run) -> None:
    """Does something else, and looks at ``closed`` now and then."""
    await ws.accept()
    run.note("waiting")
    while not ws.closed:
        await asyncio.sleep(0.005)
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("before-accept")
async def before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    """The client may leave before the handshake is over."""
    run.note("waiting")
    if req.get_param("how") == "wait":
        await ws.wait_disconnected()
        run.note("state", code=ws.close_code, closed=ws.closed)
        return
    await run.gate("accept")
    try:
        await ws.accept()
        run.note("accepted")
        await ws.receive_text()
    except WebSocketDisconnected as error:
        run.note("disconnected", **describe(error))


@websocket("close-while-receiving")
async def close_while_receiving(req: Request, ws: WebSocket, run: Run) -> None:
    """One task closes while another one receives."""
    await ws.accept()

    async def receive() -> None:
        try:
            await ws.receive_text()
        except WebSocketDisconnected as error:
            run.note("receiver ended", **describe(error))

    receiving = asyncio.create_task(receive())
    await run.gate("close")
    await ws.close(4003, "enough")
    await receiving


# Control

main.add_route("/journal/{run}", JournalResource())
main.add_route("/gates/{gate}/{run}", GateResource())


class TokenResource:
    """Tells the test that it talks to the server that it started."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        resp.text = os.environ.get("CONTRACT_TOKEN", "")


main.add_route("/token", TokenResource())

_APPS: dict[str, Any] = {
    "custom-media": custom_media,
    "custom-error-code": custom_media,
}
for name, setting in {
    "same-origin": "same-origin",
    "listed-origins": ["https://app.example.com", "http://localhost:3000", "https://*.example.org"],
    "any-origin": "*",
}.items():
    _APPS[name] = _origins(name, setting)


async def dispatch(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The ASGI callable: picks the app by the first segment of the path, and keeps the run's books."""
    if scope["type"] != "websocket":
        await main(scope, receive, send)
        return
    _, name, *_, run_id = scope["path"].split("/")
    run = RUNS[run_id]
    current_run.set(run_id)
    run.note("entered the app")
    try:
        await _APPS.get(name, main)(scope, receive, send)
    except BaseException as error:
        run.note("left the app", **describe(error))
        raise
    else:
        run.note("left the app", kinds=[])


def _end_with_parent() -> None:
    # Standard input is a pipe that the test process holds; it ends when that process does, however it does.
    while os.read(0, 1):
        pass
    os._exit(1)


app = dispatch
logging.getLogger().addHandler(LogToJournal())
logging.getLogger("falconws").setLevel(logging.INFO)
if "CONTRACT_TOKEN" in os.environ:
    threading.Thread(target=_end_with_parent, daemon=True).start()
