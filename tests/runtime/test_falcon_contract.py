"""One contract, held against Falcon's own classes and ours: whatever is written for the one runs on the other.

The client is Falcon's (``simulate_ws``), so that tests written for Falcon apps keep working too. Where we differ on
purpose, ``DIFFERENCES`` says so by name, and a test of that name shows both behaviours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon
import falcon.asgi
import falcon.inspect
import falcon.media
import falcon.testing
import pytest
from falcon.util.deprecation import DeprecatedWarning

import falconws
from tests.runtime.scripted_server import ScriptedServer

SECONDS = 20.0

AppClass = type[falcon.asgi.App]

DIFFERENCES = {
    "http_error_before_accept": "An `HTTPError` or `HTTPStatus` raised before `accept()` reaches the client as that "
    "HTTP response, on servers that can send one. With Falcon the client sees a 403.",
    "error_before_accept": "An unhandled error before `accept()` is a 500. With Falcon the client sees a 403.",
    "undecodable_payload": "A payload that the media handler cannot decode closes the connection with 1007 and one log "
    "line, if your code does not handle the error. Falcon closes with 1011 and logs a traceback.",
    "wrong_payload_type": "An unhandled `PayloadTypeError` closes with 1003 and one log line. Falcon closes with 1011 "
    "and logs a traceback.",
    "unhandled_disconnect": "An unhandled `WebSocketDisconnected` is logged as a warning. Falcon logs it at DEBUG.",
    "unknown_close_code": "A disconnect without a code is reported as 1005, and a failed send without a reason as "
    "1006. Falcon reports 1000 for both.",
    "nan_is_not_json": "The default JSON handler refuses NaN and the infinities in both directions. Falcon's handler "
    "accepts them.",
    "deeply_nested_json": "JSON that is nested too deeply raises `json.JSONDecodeError`; in the body of a request it "
    "is a 400. Falcon lets `RecursionError` through.",
    "json_beyond_json": "JSON with a number as large as 1e400, or with the escape of a lone surrogate, raises "
    "`json.JSONDecodeError`. Falcon returns an infinity, or a string that cannot be sent.",
    "inexpressible_media": "Data of the client that the media handler of the answer cannot express closes with 1007 "
    "and one log line. Falcon closes with 1011 and logs a traceback.",
    "second_receiver": "A second task that receives gets `OperationNotAllowed`. Falcon fails on an assertion.",
    "unsendable_close": "`close()` refuses codes above 4999, the reserved ones from 2000 to 2999, and reasons over 123 "
    "bytes with a `ValueError`. Falcon sends them.",
    "close_refused": "After a refused `close()`, the connection can still be used. With Falcon, nothing can be "
    "received afterwards.",
    "unread_messages": "Messages that arrived before the client left can still be received after a send has failed. "
    "Falcon drops them.",
    "disconnect_behind_unread_messages": "A responder that only sends notices a disconnect even behind unread "
    "messages. With Falcon, it never does once the queue is full.",
    "responder_without_its_client": "A responder that still runs 10 seconds after its client has left is cancelled "
    "(`ws_options.disconnect_grace_s`; None keeps Falcon's behaviour).",
    "base_exception": "`sys.exit()` and every other `BaseException` of a responder ends only its own connection, with "
    "1011 or a 500, and is logged. With Falcon, it can end the server.",
    "unoffered_subprotocol": "`accept(subprotocol=...)` raises a `ValueError` if the client does not offer the "
    "subprotocol. Falcon sends it, and the client fails the connection.",
    "malformed_header": "A header of `accept()` or of a refusal is a `ValueError` if its name is not a token, or its "
    "value has a control character. In an HTTP response, it turns the response into a 500. Falcon passes the header to "
    "the server.",
    "proposal_middleware": "Middleware methods may omit the `ws` argument, as in the proposal. Falcon fails when it "
    "calls them.",
    "media_as_bytes": "The result of a BINARY media handler is sent as `bytes`, even if it is a `bytearray` or a "
    "`memoryview`. Falcon passes it on unchanged, and some servers refuse it.",
    "errors_for_browsers": "The body of an HTTP error is a small HTML page for a browser, and XML only for clients "
    "that accept nothing else. Falcon sends XML to browsers. `app.set_error_serializer()` works as before.",
    "inspected_error_handlers": "`falcon.inspect` lists the default error handlers of falconws. It lists Falcon's own "
    "only with `internal=True`.",
}
"""Each is shown by the test of the same name; the how-to "Migrate from Falcon" lists them all."""


@pytest.fixture(params=[falcon.asgi.App, falconws.App], ids=["falcon", "falconws"])
def app_class(request: pytest.FixtureRequest) -> AppClass:
    chosen: AppClass = request.param
    return chosen


Responder = Callable[..., Any]


def app_of(app_class: AppClass, responder: Responder, **kwargs: Any) -> Any:
    """An app with one route, "/", that *responder* serves."""

    class Resource:
        async def on_websocket(self, req: Any, ws: Any, **params: Any) -> None:
            await responder(req, ws, **params)

    app: Any = app_class(**kwargs)
    app.add_route("/", Resource())
    return app


async def talk(app: Any, *texts: str, messages: int = 0, path: str = "/", **kwargs: Any) -> tuple[list[str], int, str]:
    """Send *texts*, receive *messages*, and wait for the app to close; return what came, the close code and the reason.

    Falcon's client forgets what it has not received when the app closes. A responder that sends therefore waits for
    one more message before it returns, and gets it here.
    """
    received: list[str] = []
    kwargs.setdefault("spec_version", "2.4")
    async with asyncio.timeout(SECONDS), falcon.testing.ASGIConductor(app) as conductor:
        async with conductor.simulate_ws(path, **kwargs) as ws:
            for text in texts:
                await ws.send_text(text)
            if messages:
                received = [await ws.receive_text() for _ in range(messages)]
                await ws.send_text("bye")
            with pytest.raises(falcon.WebSocketDisconnected):
                await ws.receive_text()
        return received, ws.close_code, ws.close_reason


async def refusal(app: Any, path: str = "/", **kwargs: Any) -> tuple[str, int]:
    """Try a handshake that is refused; return the error's name and code."""
    async with asyncio.timeout(SECONDS), falcon.testing.ASGIConductor(app) as conductor:
        with pytest.raises(falcon.WebSocketDisconnected) as caught:
            async with conductor.simulate_ws(path, **kwargs):
                pytest.fail("the handshake was accepted")
    return type(caught.value).__name__, caught.value.code


# The proposal


async def test_http_and_websocket_live_on_one_resource(app_class: AppClass) -> None:
    class Resource:
        async def on_get(self, req: Any, resp: Any, account_id: str) -> None:
            resp.media = {"account": account_id}

        async def on_websocket(self, req: Any, ws: Any, account_id: str) -> None:
            await ws.accept()
            await ws.send_media({"account": account_id, "agent": req.get_header("User-Agent")})
            await ws.receive_text()  # bye

    app: Any = app_class()
    app.add_route("/{account_id}/messages", Resource())
    async with falcon.testing.ASGIConductor(app) as conductor:
        assert (await conductor.simulate_get("/42/messages")).json == {"account": "42"}
    received, code, _ = await talk(app, messages=1, path="/42/messages", headers={"User-Agent": "tests"})
    assert [json.loads(text) for text in received] == [{"account": "42", "agent": "tests"}]
    assert code == 1000


async def test_close_before_accept_refuses_and_ignores_the_code(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        assert ws.unaccepted
        await ws.close(4000)
        assert ws.closed
        await ws.close()

    assert await refusal(app_of(app_class, responder)) == ("WebSocketDisconnected", 3403)


async def test_returning_without_accept_refuses(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        assert ws.subprotocols == ("wamp", "mqtt")

    assert await refusal(app_of(app_class, responder), subprotocols=["wamp", "mqtt"]) == (
        "WebSocketDisconnected",
        3403,
    )


async def test_accept_takes_a_subprotocol_and_headers(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        assert ws.supports_accept_headers
        await ws.accept(subprotocol="wamp", headers={"X-Room": "1", "set-cookie": "a=b"})

    app = app_of(app_class, responder)
    async with falcon.testing.ASGIConductor(app) as conductor, conductor.simulate_ws("/", subprotocols=["wamp"]) as ws:
        assert ws.subprotocol == "wamp"
        assert ws.headers == [(b"x-room", b"1"), (b"set-cookie", b"a=b")]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"subprotocol": 7}, ValueError),
        ({"headers": [("Sec-WebSocket-Protocol", "wamp")]}, ValueError),
        ({"headers": {"x": "ü"}}, UnicodeEncodeError),
    ],
)
async def test_what_accept_cannot_send_is_refused(
    app_class: AppClass, arguments: dict[str, Any], error: type[Exception]
) -> None:
    async def responder(req: Any, ws: Any) -> None:
        with pytest.raises(error):
            await ws.accept(**arguments)
        assert ws.unaccepted
        await ws.accept()

    assert (await talk(app_of(app_class, responder)))[1] == 1000


async def test_accept_headers_need_a_server_that_sends_them(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        assert not ws.supports_accept_headers
        with pytest.raises(falcon.OperationNotAllowed):
            await ws.accept(headers={"x": "y"})
        await ws.accept()

    assert (await talk(app_of(app_class, responder), spec_version="2.0"))[1] == 1000


async def test_accept_works_once(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        assert ws.ready
        with pytest.raises(falcon.OperationNotAllowed):
            await ws.accept()
        await ws.close()
        with pytest.raises(falcon.OperationNotAllowed):
            await ws.accept()

    assert (await talk(app_of(app_class, responder)))[1] == 1000


async def test_nothing_is_sent_or_received_before_accept(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        for operation in (
            lambda: ws.send_text("x"),
            lambda: ws.send_data(b"x"),
            lambda: ws.send_media({}),
            ws.receive_text,
            ws.receive_data,
            ws.receive_media,
        ):
            with pytest.raises(falcon.OperationNotAllowed):
                await operation()
        await ws.accept()

    assert (await talk(app_of(app_class, responder)))[1] == 1000


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_messages_go_both_ways_in_every_form(app_class: AppClass, kind: Callable[[bytes], Any]) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        assert await ws.receive_text() == "zażółć"
        assert await ws.receive_data() == b"\x00\xff"
        assert await ws.receive_media() == {"a": [1, None]}
        assert await ws.receive_media() == {"b": b"\x01"}
        await ws.send_text("gęślą")
        await ws.send_data(kind(b"\x01\x02"))
        await ws.send_media({"a": 1})
        await ws.send_media({"b": b"\x01"}, falcon.WebSocketPayloadType.BINARY)

    app = app_of(app_class, responder)
    async with falcon.testing.ASGIConductor(app) as conductor, conductor.simulate_ws("/") as ws:
        await ws.send_text("zażółć")
        await ws.send_data(b"\x00\xff")
        await ws.send_json({"a": [1, None]})
        await ws.send_msgpack({"b": b"\x01"})
        assert await ws.receive_text() == "gęślą"
        assert await ws.receive_data() == b"\x01\x02"
        assert await ws.receive_json() == {"a": 1}
        assert await ws.receive_msgpack() == {"b": b"\x01"}


async def test_a_wrong_payload_type_is_a_typeerror_and_consumes_the_message(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(TypeError) as caught:
            await ws.receive_data()
        assert isinstance(caught.value, falcon.PayloadTypeError)
        await ws.send_text(await ws.receive_text())
        await ws.receive_text()  # bye

    assert (await talk(app_of(app_class, responder), "first", "second", messages=1))[0] == ["second"]


@pytest.mark.parametrize("payload", [b"bytes", None, 7])
async def test_what_send_cannot_send_is_a_typeerror(app_class: AppClass, payload: Any) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(TypeError):
            await ws.send_text(payload)
        with pytest.raises(TypeError):
            await ws.send_data("text")
        await ws.send_text("fine")
        await ws.receive_text()  # bye

    assert (await talk(app_of(app_class, responder), messages=1))[0] == ["fine"]


async def test_bad_json_is_a_jsondecodeerror(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(json.JSONDecodeError):
            await ws.receive_media()
        await ws.send_media(await ws.receive_media())
        await ws.receive_text()  # bye

    assert (await talk(app_of(app_class, responder), "{", "[1]", messages=1))[0] == ["[1]"]


async def test_the_proposals_parallel_loops_run(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        messages: list[str] = []

        async def sink() -> None:
            while True:
                try:
                    message = await ws.receive_text()
                except falcon.WebSocketDisconnected:
                    break
                messages.append(message)

        sink_task = asyncio.get_running_loop().create_task(sink())
        while not sink_task.done():
            while ws.ready and not messages and not sink_task.done():
                await asyncio.sleep(0)
            if not messages:
                await asyncio.sleep(0)
                continue
            try:
                await ws.send_text(messages.pop(0))
            except falcon.WebSocketDisconnected:
                break
        sink_task.cancel()
        with pytest.raises((asyncio.CancelledError, StopAsyncIteration)):
            await sink_task
            raise StopAsyncIteration

    app = app_of(app_class, responder)
    async with (
        asyncio.timeout(SECONDS),
        falcon.testing.ASGIConductor(app) as conductor,
        conductor.simulate_ws("/") as ws,
    ):
        for text in ("a", "", "c"):
            await ws.send_text(text)
            assert await ws.receive_text() == text


async def test_custom_media_handlers_serve_each_payload_type(app_class: AppClass) -> None:
    class Upper(falcon.media.TextBaseHandlerWS):
        def serialize(self, media: object) -> str:
            return str(media).upper()

        def deserialize(self, payload: str) -> object:
            return payload.lower()

    class Reverse(falcon.media.BinaryBaseHandlerWS):
        def serialize(self, media: object) -> bytes:
            return str(media).encode()[::-1]

        def deserialize(self, payload: bytes) -> object:
            return payload[::-1].decode()

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.send_media(await ws.receive_media())
        await ws.send_media(await ws.receive_media(), payload_type=falcon.WebSocketPayloadType.BINARY)

    app = app_of(app_class, responder)
    app.ws_options.media_handlers[falcon.WebSocketPayloadType.TEXT] = Upper()
    app.ws_options.media_handlers[falcon.WebSocketPayloadType.BINARY] = Reverse()
    async with falcon.testing.ASGIConductor(app) as conductor, conductor.simulate_ws("/") as ws:
        await ws.send_text("AbC")
        assert await ws.receive_text() == "ABC"
        await ws.send_data(b"xyz")
        assert await ws.receive_data() == b"xyz"


async def test_the_default_handlers_are_those_of_falcon(app_class: AppClass) -> None:
    handlers = app_class().ws_options.media_handlers
    assert isinstance(handlers[falcon.WebSocketPayloadType.TEXT], falcon.media.TextBaseHandlerWS)
    assert isinstance(handlers[falcon.WebSocketPayloadType.BINARY], falcon.media.MessagePackHandlerWS)


# The end


@pytest.mark.parametrize(
    ("code", "reason", "seen"),
    [
        (None, None, (1000, "Normal Closure")),
        (1001, None, (1001, "")),
        (1011, None, (1011, "Internal Server Error")),
        (3404, None, (3404, "Not Found")),
        (4000, "done", (4000, "done")),
        (4999, "ü" * 61, (4999, "ü" * 61)),
    ],
)
async def test_the_client_sees_the_code_and_the_reason(
    app_class: AppClass, code: int | None, reason: str | None, seen: tuple[int, str]
) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.close(code, reason)
        await ws.close(4001)

    assert (await talk(app_of(app_class, responder)))[1:] == seen


async def test_default_reasons_can_be_set_and_old_servers_get_none(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.close(4001)

    app = app_of(app_class, responder)
    app.ws_options.default_close_reasons[4001] = "Bye"
    assert (await talk(app))[1:] == (4001, "Bye")
    assert (await talk(app, spec_version="2.2"))[1:] == (4001, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1999, -1, "1000"])
async def test_a_code_that_may_not_be_sent_is_a_valueerror(app_class: AppClass, code: Any) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(ValueError, match=r"code"):
            await ws.close(code)
        await ws.close(4001)

    assert (await talk(app_of(app_class, responder)))[1] == 4001


async def test_the_responder_learns_of_the_clients_close(app_class: AppClass) -> None:
    ended: asyncio.Queue[Any] = asyncio.Queue()

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        for operation in (ws.receive_text, lambda: ws.send_text("x"), lambda: ws.send_media({})):
            with pytest.raises(falcon.WebSocketDisconnected) as caught:
                await operation()
            assert caught.value.code == 4321
        ended.put_nowait((ws.ready, ws.closed, ws.unaccepted))

    app = app_of(app_class, responder)
    async with asyncio.timeout(SECONDS), falcon.testing.ASGIConductor(app) as conductor:
        async with conductor.simulate_ws("/") as ws:
            await ws.close(4321)
        assert await ended.get() == (False, True, False)


async def test_a_responder_that_polls_learns_of_the_clients_close(app_class: AppClass) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        while ws.ready:
            await asyncio.sleep(0.001)
        assert ws.closed

    app = app_of(app_class, responder)
    async with (
        asyncio.timeout(SECONDS),
        falcon.testing.ASGIConductor(app) as conductor,
        conductor.simulate_ws("/") as ws,
    ):
        await ws.close()


@pytest.mark.parametrize("max_receive_queue", [0, 1, 4])
async def test_a_burst_arrives_in_order_whatever_the_queue(app_class: AppClass, max_receive_queue: int) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        for _ in range(50):
            await ws.send_text(await ws.receive_text())
        await ws.receive_text()  # bye

    app = app_of(app_class, responder)
    app.ws_options.max_receive_queue = max_receive_queue
    texts = [str(number) for number in range(50)]
    assert (await talk(app, *texts, messages=50))[0] == texts


# Errors


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("kind", [falcon.HTTPError, falcon.HTTPStatus])
@pytest.mark.parametrize("accepted", [False, True])
async def test_http_errors_and_statuses_map_to_3000_and_the_status(
    app_class: AppClass, kind: type[Exception], status: int, accepted: bool
) -> None:
    async def responder(req: Any, ws: Any) -> None:
        if accepted:
            await ws.accept()
        raise kind(status)

    app = app_of(app_class, responder)
    if accepted:
        assert (await talk(app))[1] == 3000 + status
    else:
        assert (await refusal(app))[1] == 3000 + status


@pytest.mark.parametrize("place", ["process_request_ws", "process_resource_ws"])
async def test_http_errors_in_middleware_refuse(app_class: AppClass, place: str) -> None:
    async def fail(*args: Any) -> None:
        raise falcon.HTTPUnauthorized

    async def process_request_ws(self: Any, req: Any, ws: Any) -> None:
        await fail()

    async def process_resource_ws(self: Any, req: Any, ws: Any, resource: Any, params: Any) -> None:
        await fail()

    middleware = type("Middleware", (), {place: locals()[place]})()

    async def responder(req: Any, ws: Any) -> None:
        pytest.fail("the responder was called")

    assert (await refusal(app_of(app_class, responder, middleware=[middleware])))[1] == 3401


async def test_unknown_routes_and_resources_without_websocket_are_told_apart(app_class: AppClass) -> None:
    class OnlyHttp:
        async def on_get(self, req: Any, resp: Any) -> None: ...

    app: Any = app_class()
    app.add_route("/http", OnlyHttp())
    assert await refusal(app, "/nowhere") == ("WebSocketPathNotFound", 3404)
    assert await refusal(app, "/http") == ("WebSocketHandlerNotFound", 3405)


@pytest.mark.parametrize("accepted", [False, True])
async def test_an_unhandled_error_closes_with_the_error_close_code(app_class: AppClass, accepted: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        if accepted:
            await ws.accept()
        raise ZeroDivisionError

    app = app_of(app_class, responder)
    if accepted:
        assert (await talk(app))[1:] == (1011, "Internal Server Error")
        app.ws_options.error_close_code = 4500
        assert (await talk(app))[1] == 4500
        app.ws_options.error_close_code = 998
        assert (await talk(app))[1] == 3011
    else:
        assert await refusal(app) == ("WebSocketServerError", 1011)


async def test_error_handlers_get_the_socket_when_they_ask_for_it(app_class: AppClass) -> None:
    calls: list[Any] = []

    async def with_ws(req: Any, resp: Any, ex: Exception, params: Any, ws: Any = None) -> None:
        calls.append((resp, type(ex), params, ws.ready))
        await ws.close(4001, "handled")

    async def without_ws(req: Any, resp: Any, ex: Exception, params: Any) -> None:
        calls.append((resp, type(ex)))
        raise falcon.HTTPGone

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        raise LookupError if await ws.receive_text() == "lookup" else ArithmeticError

    app = app_of(app_class, responder)
    app.add_error_handler(LookupError, with_ws)
    app.add_error_handler(ArithmeticError, without_ws)
    assert (await talk(app, "lookup"))[1:] == (4001, "handled")
    assert (await talk(app, "arithmetic"))[1] == 3410
    assert calls == [(None, LookupError, {}, True), (None, ArithmeticError)]


async def test_a_disconnect_handler_replaces_the_default_one(app_class: AppClass) -> None:
    handled: asyncio.Queue[int] = asyncio.Queue()

    async def handler(req: Any, resp: Any, ex: Any, params: Any, ws: Any = None) -> None:
        handled.put_nowait(ex.code)

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.receive_text()

    app = app_of(app_class, responder)
    app.add_error_handler(falcon.WebSocketDisconnected, handler)
    async with asyncio.timeout(SECONDS), falcon.testing.ASGIConductor(app) as conductor:
        async with conductor.simulate_ws("/") as ws:
            await ws.close(1001)
        assert await handled.get() == 1001


async def test_a_general_handler_catches_everything(app_class: AppClass) -> None:
    kinds: list[str] = []

    async def handler(req: Any, resp: Any, ex: Exception, params: Any, ws: Any = None) -> None:
        kinds.append(type(ex).__name__)
        await ws.close(4002)

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await (ws.receive_data if await ws.receive_text() == "type" else ws.receive_media)()

    app = app_of(app_class, responder)
    app.add_error_handler(Exception, handler)
    assert (await talk(app, "type", "x"))[1] == 4002
    assert (await talk(app, "media", "{"))[1] == 4002
    assert kinds == ["PayloadTypeError", "JSONDecodeError"]


# The rest of Falcon


async def test_sinks_get_the_socket_and_their_parameters(app_class: AppClass) -> None:
    async def sink(req: Any, resp: Any, ws: Any = None, **params: str) -> None:
        assert resp is None
        await ws.accept()
        await ws.send_text(params["name"])
        await ws.receive_text()  # bye

    app: Any = app_class()
    app.add_sink(sink, r"/hello/(?P<name>\w+)")
    assert (await talk(app, messages=1, path="/hello/bob"))[0] == ["bob"]


async def test_a_sink_without_ws_gets_it_for_resp_with_a_warning(app_class: AppClass) -> None:
    async def sink(req: Any, resp_or_ws: Any, **params: str) -> None:
        await resp_or_ws.accept()
        await resp_or_ws.send_text("old style")
        await resp_or_ws.receive_text()  # bye

    app: Any = app_class()
    app.add_sink(sink, "/")
    with pytest.warns(DeprecatedWarning, match="sink"):
        assert (await talk(app, messages=1, path="/x"))[0] == ["old style"]


async def test_a_static_route_is_no_websocket(app_class: AppClass, tmp_path: Path) -> None:
    app: Any = app_class()
    app.add_static_route("/static", tmp_path)
    assert (await refusal(app, "/static/x.txt"))[1] == 3400


async def test_suffixes_route_to_their_responders(app_class: AppClass) -> None:
    class Resource:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await ws.accept()
            await ws.send_text("plain")
            await ws.receive_text()  # bye

        async def on_websocket_item(self, req: Any, ws: Any, number: int) -> None:
            await ws.accept()
            await ws.send_text(f"item {number + 1}")
            await ws.receive_text()  # bye

    app: Any = app_class()
    app.add_route("/", Resource())
    app.add_route("/{number:int}", Resource(), suffix="item")
    assert (await talk(app, messages=1))[0] == ["plain"]
    assert (await talk(app, messages=1, path="/41"))[0] == ["item 42"]


async def test_hooks_run_around_the_responder(app_class: AppClass) -> None:
    calls: list[str] = []

    async def before(req: Any, ws: Any, resource: Any, params: dict[str, Any]) -> None:
        params["extra"] = "from the hook"

    async def after(req: Any, ws: Any, resource: Any) -> None:
        calls.append("after")

    class Resource:
        @falcon.before(before)
        @falcon.after(after)
        async def on_websocket(self, req: Any, ws: Any, extra: str) -> None:
            await ws.accept()
            await ws.send_text(extra)
            await ws.receive_text()  # bye

    app: Any = app_class()
    app.add_route("/", Resource())
    assert (await talk(app, messages=1))[0] == ["from the hook"]
    assert calls == ["after"]


async def test_middleware_runs_in_order_and_sets_parameters(app_class: AppClass) -> None:
    calls: list[str] = []

    class First:
        async def process_request_ws(self, req: Any, ws: Any) -> None:
            assert ws.unaccepted
            calls.append(f"request {req.path}")

    class Second:
        async def process_request_ws(self, req: Any, ws: Any) -> None:
            calls.append("request 2")

        async def process_resource_ws(self, req: Any, ws: Any, resource: Any, params: dict[str, Any]) -> None:
            calls.append(f"resource {type(resource).__name__} {req.uri_template}")
            params["user"] = "bob"

    async def responder(req: Any, ws: Any, user: str) -> None:
        await ws.accept()
        await ws.send_text(user)
        await ws.receive_text()  # bye

    app = app_of(app_class, responder, middleware=First())
    app.add_middleware(Second())
    assert (await talk(app, messages=1))[0] == ["bob"]
    assert calls == ["request /", "request 2", "resource Resource /"]


async def test_middleware_must_be_asynchronous(app_class: AppClass) -> None:
    class Middleware:
        def process_request_ws(self, req: Any, ws: Any) -> None: ...

    with pytest.raises(falcon.CompatibilityError):
        app_class(middleware=[Middleware()])


async def test_the_lifespan_starts_and_stops_middleware(app_class: AppClass) -> None:
    calls: list[str] = []

    class Middleware:
        async def process_startup(self, scope: Any, event: Any) -> None:
            calls.append("start")

        async def process_shutdown(self, scope: Any, event: Any) -> None:
            calls.append("stop")

    app: Any = app_class(middleware=[Middleware()])
    async with falcon.testing.ASGIConductor(app):
        assert calls == ["start"]
    assert calls == ["start", "stop"]


def test_falcon_inspect_sees_the_same(app_class: AppClass) -> None:
    class Resource:
        async def on_get(self, req: Any, resp: Any) -> None: ...

        async def on_websocket(self, req: Any, ws: Any) -> None: ...

    class Middleware:
        async def process_request(self, req: Any, resp: Any) -> None: ...

    app: Any = app_class(middleware=[Middleware()])
    app.add_route("/things", Resource())
    info = falcon.inspect.inspect_app(app)
    assert [(route.path, sorted(m.method for m in route.methods if not m.internal)) for route in info.routes] == [
        ("/things", ["GET", "WEBSOCKET"])
    ]
    assert "Middleware" in info.to_string(verbose=True)


async def test_custom_request_and_response_types_are_used(app_class: AppClass) -> None:
    class MyRequest(falcon.asgi.Request):
        pass

    class MyResponse(falcon.asgi.Response):
        pass

    seen: list[type] = []

    class Resource:
        async def on_get(self, req: Any, resp: Any) -> None:
            seen.extend((type(req), type(resp)))

        async def on_websocket(self, req: Any, ws: Any) -> None:
            seen.append(type(req))

    app: Any = app_class(request_type=MyRequest, response_type=MyResponse)
    app.add_route("/", Resource())
    async with falcon.testing.ASGIConductor(app) as conductor:
        await conductor.simulate_get("/")
    await refusal(app)
    assert seen == [MyRequest, MyResponse, MyRequest]


async def test_an_abandoned_handshake_is_closed(app_class: AppClass) -> None:
    server = ScriptedServer()
    server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    app: Any = app_class()
    scope = {"type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "path": "/", "headers": []}
    await app(scope, server.receive, server.send)
    assert server.sent == [{"type": "websocket.close", "code": 1011, "reason": "Internal Server Error"}]


def test_the_classes_are_falcons_for_those_who_check() -> None:
    assert issubclass(falconws.App, falcon.asgi.App)
    assert issubclass(falconws.WebSocket, falcon.asgi.WebSocket)
    assert issubclass(falconws.WebSocketOptions, falcon.asgi.WebSocketOptions)
    assert issubclass(falconws.Request, falcon.asgi.Request)
    assert issubclass(falconws.WebSocketDisconnected, falcon.WebSocketDisconnected)
    assert falconws.WebSocketPayloadType is falcon.WebSocketPayloadType


# Differences


Events = list[dict[str, Any]]


async def serve(app: Any, server: ScriptedServer, **extensions: Any) -> Events:
    """Play *server* to *app* until the app returns; return what it sent."""
    server.incoming.put_nowait({"type": "websocket.connect"})
    # The events put before belong behind this one.
    for _ in range(server.incoming.qsize() - 1):
        server.incoming.put_nowait(server.incoming.get_nowait())
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("192.0.2.7", 4711),
        "server": ("testserver", 80),
        "subprotocols": [],
        "extensions": extensions,
    }
    async with asyncio.timeout(SECONDS):
        await app(scope, server.receive, server.send)
    return server.sent


@pytest.fixture
def ours(app_class: AppClass) -> bool:
    return app_class is falconws.App


DENIAL = {"websocket.http.response": {}}


async def test_http_error_before_accept(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise falcon.HTTPServiceUnavailable(title="Full", retry_after=30)

    sent = await serve(app_of(app_class, responder), ScriptedServer(), **DENIAL)
    if not ours:
        assert sent == [{"type": "websocket.close", "code": 3503, "reason": "Service Unavailable"}]
        return
    start, body = sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert (b"retry-after", b"30") in start["headers"]
    assert (b"content-type", b"application/json") in start["headers"]
    assert body == {"type": "websocket.http.response.body", "body": b'{"title": "Full"}', "more_body": False}


async def test_error_before_accept(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise ZeroDivisionError

    sent = await serve(app_of(app_class, responder), ScriptedServer(), **DENIAL)
    assert sent[0].get("status") == (500 if ours else None)
    assert sent[0].get("code") == (None if ours else 1011)


async def check_client_fault(
    app_class: AppClass, caplog: pytest.LogCaptureFixture, text: str, operation: str
) -> tuple[int, list[str], bool]:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await getattr(ws, operation)()

    server = ScriptedServer()
    server.put(text)
    sent = await serve(app_of(app_class, responder), server)
    records = [record for record in caplog.records if "allowed_origins" not in record.getMessage()]
    return sent[-1]["code"], [record.getMessage() for record in records], any(r.exc_info for r in records)


async def test_undecodable_payload(app_class: AppClass, ours: bool, caplog: pytest.LogCaptureFixture) -> None:
    code, lines, traceback = await check_client_fault(app_class, caplog, "{", "receive_media")
    assert (code, len(lines), traceback) == ((1007, 1, False) if ours else (1011, 1, True))
    if ours:
        assert "192.0.2.7:4711 closed with 1007: Expecting property name" in lines[0]


async def test_wrong_payload_type(app_class: AppClass, ours: bool, caplog: pytest.LogCaptureFixture) -> None:
    code, lines, traceback = await check_client_fault(app_class, caplog, "text", "receive_data")
    assert (code, len(lines), traceback) == ((1003, 1, False) if ours else (1011, 1, True))


async def test_unhandled_disconnect(app_class: AppClass, ours: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.receive_text()

    server = ScriptedServer()
    server.disconnect(code=4000, reason="tired")
    with caplog.at_level("DEBUG"):
        await serve(app_of(app_class, responder), server)
    levels = {record.levelname for record in caplog.records if "disconnected with code 4000" in record.getMessage()}
    assert levels == ({"WARNING"} if ours else {"DEBUG"})


async def test_unknown_close_code(app_class: AppClass, ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.stream._DISCOVER_CLOSE_S", 0.01)
    codes: list[int] = []

    async def receiving(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(falcon.WebSocketDisconnected) as caught:
            await ws.receive_text()
        codes.append(caught.value.code)

    async def sending(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(falcon.WebSocketDisconnected) as caught:
            await ws.send_text("x")
        codes.append(caught.value.code)

    class BrokenPipeServer(ScriptedServer):
        async def send(self, event: dict[str, Any]) -> None:
            if event["type"] == "websocket.send":
                raise BrokenPipeError
            await super().send(event)

    server = ScriptedServer()
    server.disconnect()
    await serve(app_of(app_class, receiving), server)
    await serve(app_of(app_class, sending), BrokenPipeServer())
    assert codes == ([1005, 1006] if ours else [1000, 1000])


async def test_nan_is_not_json(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.send_media(float("nan"))

    sent = await serve(app_of(app_class, responder), ScriptedServer())
    assert {"type": "websocket.send", "text": "NaN"} in sent if not ours else sent[-1]["code"] == 1011


async def test_deeply_nested_json(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(json.JSONDecodeError if ours else RecursionError):
            await ws.receive_media()

    server = ScriptedServer()
    server.put("[" * 100_000)
    assert (await serve(app_of(app_class, responder), server))[-1]["code"] == 1000

    class Resource:
        async def on_post(self, req: Any, resp: Any) -> None:
            resp.media = await req.get_media()

    app = app_class()
    app.add_route("/", Resource())
    async with falcon.testing.ASGIConductor(app) as conductor:
        headers = {"Content-Type": "application/json"}
        assert (await conductor.simulate_post("/", body='{"a": [1, "\u00e9"]}', headers=headers)).json == {
            "a": [1, "é"]
        }
        refused = await conductor.simulate_post("/", body="[" * 100_000, headers=headers)
    assert refused.status_code == (400 if ours else 500)


@pytest.mark.parametrize("text", ["1e400", r'"\ud800"'])
async def test_json_beyond_json(app_class: AppClass, ours: bool, text: str) -> None:
    refused: list[bool] = []

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            await ws.receive_media()
        except json.JSONDecodeError:
            refused.append(True)

    server = ScriptedServer()
    server.put(text)
    await serve(app_of(app_class, responder), server)
    assert refused == ([True] if ours else [])


async def test_inexpressible_media(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.send_media(await ws.receive_media(), falcon.WebSocketPayloadType.BINARY)

    server = ScriptedServer()
    server.put(str(2**70))
    sent = await serve(app_of(app_class, responder), server)
    assert sent[-1]["code"] == (1007 if ours else 1011)


async def test_second_receiver(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        first = asyncio.create_task(ws.receive_text())
        await asyncio.sleep(0)
        with pytest.raises(falcon.OperationNotAllowed if ours else AssertionError):
            await ws.receive_text()
        await first

    server = ScriptedServer()
    asyncio.get_running_loop().call_later(0.05, server.put, "for the first")
    assert (await serve(app_of(app_class, responder), server))[-1]["code"] == 1000


@pytest.mark.parametrize("arguments", [(5000,), (2000,), (2999,), (1000, "x" * 124)])
async def test_unsendable_close(app_class: AppClass, ours: bool, arguments: tuple[Any, ...]) -> None:
    refused = False

    async def responder(req: Any, ws: Any) -> None:
        nonlocal refused
        await ws.accept()
        try:
            await ws.close(*arguments)
        except ValueError:
            refused = True

    sent = await serve(app_of(app_class, responder), ScriptedServer())
    assert refused is ours
    assert sent[-1]["code"] == (1000 if ours else arguments[0])


async def test_close_refused(app_class: AppClass, ours: bool) -> None:
    received: list[str] = []

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        with pytest.raises(ValueError, match="code"):
            await ws.close(999)
        received.append(await ws.receive_text())

    server = ScriptedServer()
    server.put("still there")
    await serve(app_of(app_class, responder), server)
    assert received == (["still there"] if ours else [])


async def test_unread_messages(app_class: AppClass, ours: bool) -> None:
    received: list[str] = []

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        while not ws.closed:
            await asyncio.sleep(0.001)
        with pytest.raises(falcon.WebSocketDisconnected):
            await ws.send_text("x")
        received.append(await ws.receive_text())

    server = ScriptedServer()
    server.put("the last words")
    server.disconnect(code=1000, reason="")
    await serve(app_of(app_class, responder), server)
    assert received == (["the last words"] if ours else [])


async def test_disconnect_behind_unread_messages(app_class: AppClass, ours: bool) -> None:
    learned = False

    async def responder(req: Any, ws: Any) -> None:
        nonlocal learned
        await ws.accept()
        try:
            # Falcon's never learns of it.
            async with asyncio.timeout(SECONDS / 2 if ours else 0.5):
                while True:
                    await ws.send_text("tick")
                    await asyncio.sleep(0.001)
        except falcon.WebSocketDisconnected:
            learned = True
        except TimeoutError:
            pass

    server = ScriptedServer()
    server.put(*"unread messages")
    server.disconnect(code=1000, reason="")
    await serve(app_of(app_class, responder), server)
    assert learned is ours


async def test_responder_without_its_client(app_class: AppClass, ours: bool, caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            await asyncio.sleep(0.5)
            ended.set()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise

    app = app_of(app_class, responder)
    if ours:
        assert app.ws_options.disconnect_grace_s == 10.0
        app.ws_options.disconnect_grace_s = 0.01
    server = ScriptedServer()
    server.disconnect(code=1001, reason="")
    await serve(app, server)
    assert ended.is_set() is not ours
    assert ("still ran 0.01 s after" in caplog.text) is ours


async def test_base_exception(app_class: AppClass, ours: bool) -> None:
    class OddError(BaseException):
        pass

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        raise OddError

    server = ScriptedServer()
    with contextlib.nullcontext() if ours else pytest.raises(OddError):
        await serve(app_of(app_class, responder), server)
    assert [event.get("code") for event in server.sent] == ([None, 1011] if ours else [None])


async def test_unoffered_subprotocol(app_class: AppClass, ours: bool) -> None:
    async def responder(req: Any, ws: Any) -> None:
        with pytest.raises(ValueError, match="does not offer") if ours else contextlib.nullcontext():
            await ws.accept(subprotocol="chat")

    await serve(app_of(app_class, responder), ScriptedServer())


@pytest.mark.parametrize(
    ("name", "value", "what"), [("X-A", "a\r\nX-B: b", "line break"), ("X-A:", "a", "must be a token")]
)
async def test_malformed_header(app_class: AppClass, ours: bool, name: str, value: str, what: str) -> None:
    async def responder(req: Any, ws: Any) -> None:
        with pytest.raises(ValueError, match=what) if ours else contextlib.nullcontext():
            await ws.accept(headers={name: value})

    await serve(app_of(app_class, responder), ScriptedServer())


async def test_proposal_middleware(app_class: AppClass, ours: bool) -> None:
    calls: list[str] = []

    class Middleware:
        async def process_request_ws(self, req: Any) -> None:
            calls.append(req.path)

        async def process_resource_ws(self, req: Any, resource: Any, params: dict[str, Any]) -> None:
            params["user"] = "bob"

    async def responder(req: Any, ws: Any, user: str) -> None:
        calls.append(user)

    await serve(app_of(app_class, responder, middleware=[Middleware()]), ScriptedServer())
    assert calls == (["/", "bob"] if ours else [])


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_media_as_bytes(app_class: AppClass, ours: bool, kind: Callable[[bytes], Any]) -> None:
    class Handler(falcon.media.BinaryBaseHandlerWS):
        def serialize(self, media: object) -> Any:
            return kind(b"abc")

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.send_media(None, falcon.WebSocketPayloadType.BINARY)

    app = app_of(app_class, responder)
    app.ws_options.media_handlers[falcon.WebSocketPayloadType.BINARY] = Handler()
    sent = await serve(app, ScriptedServer())
    assert type(sent[1]["bytes"]) is (bytes if ours else kind)


async def test_errors_for_browsers(app_class: AppClass, ours: bool) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    async with falcon.testing.ASGIConductor(app_class()) as conductor:
        result = await conductor.get("/nowhere", headers=browser)
    assert result.headers["content-type"].partition(";")[0] == ("text/html" if ours else "application/xml")


def test_every_difference_has_its_test() -> None:
    assert [name for name in DIFFERENCES if not callable(globals().get(f"test_{name}"))] == []


def test_inspected_error_handlers(app_class: AppClass, ours: bool) -> None:
    handlers = falcon.inspect.inspect_app(app_class()).error_handlers
    assert any(not handler.internal for handler in handlers) is ours
