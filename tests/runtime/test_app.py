import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import falcon
import falcon.testing
import pytest

import falconws
from falconws.testing import Client, HandshakeDenied

Responder = Callable[..., Any]


def app_of(responder: Responder, **kwargs: Any) -> falconws.App:
    class Resource:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await responder(req, ws)

    app = falconws.App(**kwargs)
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/", Resource())
    return app


async def accept(req: falconws.Request, ws: falconws.WebSocket) -> None:
    await ws.accept()


async def denied(app: falconws.App, path: str = "/", **kwargs: Any) -> HandshakeDenied:
    async with Client(app) as client:
        with pytest.raises(HandshakeDenied) as caught:
            async with client.websocket(path, **kwargs):
                pytest.fail("the handshake was accepted")
    return caught.value


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "falconws"]


# Refusals


async def test_an_http_error_is_the_response_with_headers_and_body() -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise falcon.HTTPUnauthorized(title="Who?", challenges=["Bearer", 'Basic realm="x"'])

    refusal = await denied(app_of(responder))
    assert refusal.status == 401
    assert json.loads(refusal.body) == {"title": "Who?"}
    assert refusal.headers["www-authenticate"] == 'Bearer, Basic realm="x"'
    assert refusal.headers["content-type"] == "application/json"
    assert refusal.headers["content-length"] == str(len(refusal.body))


async def test_an_http_status_is_the_response() -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise falcon.HTTPStatus(falcon.HTTP_307, headers={"Location": "/elsewhere"}, text="moved")

    refusal = await denied(app_of(responder))
    assert (refusal.status, refusal.headers["location"], refusal.body) == (307, "/elsewhere", b"moved")


@pytest.mark.parametrize("status", [200, 204])
async def test_a_status_that_is_no_refusal_refuses_with_403(status: int) -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise falcon.HTTPStatus(status)

    assert (await denied(app_of(responder))).status == 403


async def test_the_error_serializer_of_the_app_makes_the_body() -> None:
    def serialize(req: Any, resp: Any, error: falcon.HTTPError) -> None:
        resp.text = f"custom: {error.title}"
        resp.content_type = "text/plain"

    async def responder(req: Any, ws: Any) -> None:
        raise falcon.HTTPConflict(title="taken")

    app = app_of(responder)
    app.set_error_serializer(serialize)
    refusal = await denied(app)
    assert (refusal.body, refusal.headers["content-type"]) == (b"custom: taken", "text/plain")


async def test_an_unknown_route_is_404_and_one_without_websocket_405() -> None:
    class OnlyHttp:
        async def on_get(self, req: Any, resp: Any) -> None: ...

    app = app_of(accept)
    app.add_route("/http", OnlyHttp())
    assert (await denied(app, "/nowhere")).status == 404
    refusal = await denied(app, "/http")
    assert (refusal.status, refusal.headers["allow"]) == (405, "GET, OPTIONS")


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def responder(req: Any, ws: Any) -> None:
        raise ZeroDivisionError("secret")

    refusal = await denied(app_of(responder))
    assert refusal.status == 500
    assert b"secret" not in refusal.body
    assert "secret" in caplog.text


# Origins


async def test_a_foreign_origin_is_refused_before_any_code_of_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []

    class Middleware:
        async def process_request_ws(self, req: Any) -> None:
            calls.append("middleware")

    refusal = await denied(app_of(accept, middleware=[Middleware()]), origin="https://evil.test")
    assert (refusal.status, refusal.body) == (403, b"Origin not allowed")
    assert calls == []
    (line,) = messages(caplog)
    assert "https://evil.test" in line
    assert "allowed_origins = 'same-origin'" in line


async def test_the_own_origin_and_no_origin_pass() -> None:
    async with Client(app_of(accept)) as client:
        async with client.websocket("/", origin="http://localhost"):
            pass
        async with client.websocket("/"):
            pass


async def test_without_a_setting_there_is_one_warning_at_startup(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(accept)
    app.ws_options.allowed_origins = None
    async with Client(app) as client:
        assert len(messages(caplog)) == 1
        async with client.websocket("/", origin="https://evil.test"):
            pass
    (line,) = messages(caplog)
    assert "allowed_origins" in line


async def test_an_app_without_websockets_gets_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    class OnlyHttp:
        async def on_get(self, req: Any, resp: Any) -> None: ...

    app = falconws.App()
    app.add_route("/", OnlyHttp())
    async with Client(app) as client:
        await client.simulate_get("/")
    assert messages(caplog) == []


# Middleware


async def test_both_signatures_of_middleware_are_told_apart() -> None:
    calls: list[tuple[str, ...]] = []

    class Proposal:
        async def process_request_ws(self, req: Any) -> None:
            calls.append(("request", type(req).__name__))

        async def process_resource_ws(self, req: Any, resource: Any, params: dict[str, Any]) -> None:
            calls.append(("resource", type(resource).__name__, str(params)))

    class Falcon:
        async def process_request_ws(self, req: Any, ws: Any) -> None:
            calls.append(("request", type(ws).__name__))

        async def process_resource_ws(self, req: Any, ws: Any, resource: Any, params: Any) -> None:
            calls.append(("resource", type(ws).__name__, type(resource).__name__))

    class Anything:
        async def process_request_ws(self, *args: Any) -> None:
            calls.append(("request", str(len(args))))

    app = app_of(accept, middleware=[Proposal()])
    app.add_middleware([Falcon(), Anything()])
    async with Client(app) as client, client.websocket("/"):
        pass
    assert calls == [
        ("request", "Request"),
        ("request", "WebSocket"),
        ("request", "2"),
        ("resource", "Resource", "{}"),
        ("resource", "WebSocket", "Resource"),
    ]


# Errors after accept


async def test_an_unhandled_disconnect_is_one_warning_with_code_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.receive_text()

    with caplog.at_level(logging.DEBUG, "falconws"):
        async with Client(app_of(responder)) as client, client.websocket("/") as ws:
            await ws.close(4000, "tired")
    (record,) = [record for record in caplog.records if record.name == "falconws"]
    assert record.levelno == logging.WARNING
    assert "disconnected with code 4000 (tired)" in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("send", "operation", "code", "reason"),
    [
        ("send_text", "receive_media", 1007, "Payload cannot be decoded"),
        ("send_data", "receive_media", 1007, "Payload cannot be decoded"),
        ("send_data", "receive_text", 1003, "Unexpected payload type"),
        ("send_text", "receive_data", 1003, "Unexpected payload type"),
    ],
)
async def test_a_clients_fault_is_its_code_and_one_line(
    caplog: pytest.LogCaptureFixture, send: str, operation: str, code: int, reason: str
) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await getattr(ws, operation)()

    async with Client(app_of(responder)) as client, client.websocket("/") as ws:
        await getattr(ws, send)("{" if send == "send_text" else b"\xc1")
        assert await ws.wait_closed() == code
        assert ws.close_reason == reason
    (record,) = [record for record in caplog.records if record.name == "falconws"]
    assert f"closed with {code}: " in record.getMessage()
    assert record.getMessage().strip()[-1] != ":"
    assert record.exc_info is None


async def test_a_valueerror_of_the_responders_own_is_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            await ws.receive_media()
        except ValueError as error:
            raise ValueError("mine") from error

    async with Client(app_of(responder)) as client, client.websocket("/") as ws:
        await ws.send_text("{")
        assert await ws.wait_closed() == 1011
    assert "mine" in caplog.text


# What is away for now


async def unreachable(*_: Any) -> None:
    raise falconws.BrokerUnavailable("redis://10.0.0.7: connection refused")


async def test_what_is_away_denies_with_503_and_says_no_more(caplog: pytest.LogCaptureFixture) -> None:
    refusal = await denied(app_of(unreachable))
    assert refusal.status == 503
    assert refusal.headers["retry-after"] == "5"
    assert b"10.0.0.7" not in refusal.body
    (record,) = [record for record in caplog.records if record.name == "falconws"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "redis://10.0.0.7: connection refused" in record.getMessage()


async def test_what_is_away_closes_with_1013(caplog: pytest.LogCaptureFixture) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await unreachable()

    async with Client(app_of(responder)) as client, client.websocket("/") as ws:
        assert await ws.wait_closed() == falconws.CloseCode.TRY_AGAIN_LATER
    (record,) = [record for record in caplog.records if record.name == "falconws"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


async def test_what_is_away_answers_a_request_with_503() -> None:
    class Resource:
        on_get = staticmethod(unreachable)

    app = falconws.App()
    app.add_route("/", Resource())
    async with Client(app) as client:
        response = await client.get("/")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"


# Lifespan state


async def test_lifespan_state_is_reachable_from_the_request() -> None:
    class Middleware:
        async def process_startup(self, scope: dict[str, Any], event: Any) -> None:
            scope["state"]["pool"] = "a pool"

    class Resource:
        async def on_get(self, req: falconws.Request, resp: Any) -> None:
            resp.media = req.state["pool"]

        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await ws.accept()
            await ws.send_text(req.state["pool"])

    app = falconws.App(middleware=[Middleware()])
    app.add_route("/", Resource())
    async with Client(app) as client, client.websocket("/") as ws:
        assert await ws.receive_text() == "a pool"


async def test_a_server_without_state_gives_an_empty_one() -> None:
    states: list[dict[str, Any]] = []

    async def responder(req: falconws.Request, ws: Any) -> None:
        del req.scope["state"]
        states.append(req.state)
        req.state["x"] = 1
        states.append(req.state)

    await denied(app_of(responder))
    assert states == [{"x": 1}, {"x": 1}]


# Lingering


async def test_a_responder_that_waits_for_something_else_is_cancelled_after_the_disconnect_grace_s() -> None:
    cancelled = asyncio.Event()

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app = app_of(responder)
    app.ws_options.disconnect_grace_s = 0.01
    async with Client(app) as client:
        async with client.websocket("/") as ws:
            await ws.drop()
        await asyncio.wait_for(cancelled.wait(), 20)


async def test_a_responder_that_closed_the_socket_itself_may_take_its_time() -> None:
    finished = asyncio.Event()

    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.close()
        await asyncio.sleep(0.1)
        finished.set()

    app = app_of(responder)
    app.ws_options.disconnect_grace_s = 0.01
    async with Client(app) as client, client.websocket("/"):
        await asyncio.wait_for(finished.wait(), 20)


def test_middleware_is_told_in_its_order_also_for_falcons_own_app() -> None:
    from falconws.app import middleware_of

    class One:
        async def process_request_ws(self, req: Any, ws: Any) -> None: ...

    class Two(One): ...

    for kind in (falconws.App, falcon.asgi.App):
        first, second = One(), Two()
        app = kind(middleware=[first])
        app.add_middleware(second)
        assert middleware_of(app) == (first, second)


# Responses to HTTP requests


@pytest.mark.parametrize(
    "header", [("X-A\r\nX-B", "c"), ("X A", "b"), ("X-A", "b\r\nc"), ("X-A", "b\n"), ("X-A", "\0")]
)
async def test_a_response_with_a_malformed_header_is_a_500_and_a_traceback(
    header: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    class Resource:
        async def on_get(self, req: falconws.Request, resp: falcon.asgi.Response) -> None:
            resp.text = "hello"
            resp.set_header(*header)

    app = falconws.App()
    app.add_route("/", Resource())
    async with falcon.testing.ASGIConductor(app) as conductor:
        result = await conductor.simulate_get("/")
    assert (result.status_code, result.text) == (500, "Internal Server Error")
    assert {name.lower() for name in result.headers} == {"content-type", "content-length"}
    (record,) = [record for record in caplog.records if "the response is not sent" in record.getMessage()]
    assert record.exc_info is not None
    assert "header" in str(record.exc_info[1])


async def test_base_exceptions_over_http_are_500_and_their_log_is_throttled(caplog: pytest.LogCaptureFixture) -> None:
    class Resource:
        async def on_get(self, req: falconws.Request, resp: object) -> None:
            raise SystemExit

    app = falconws.App()
    app.add_route("/exit", Resource())
    async with Client(app) as client:
        statuses = {(await client.simulate_get("/exit")).status_code for _ in range(40)}
    assert statuses == {500}
    lines = [record.getMessage() for record in caplog.records if "the response is not sent" in record.getMessage()]
    assert 0 < len(lines) <= 10
    assert "GET /exit" in lines[0]


# Errors in groups, and errors of error handlers


class Oops(Exception):
    pass


def fails(error: BaseException) -> Responder:
    async def fail() -> None:
        raise error

    async def responder(req: Any, ws: Any) -> None:
        async with asyncio.TaskGroup() as outer:

            async def nested() -> None:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(fail())

            outer.create_task(nested())

    return responder


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (falcon.HTTPForbidden(), 403),
        (falcon.HTTPFound("/elsewhere"), 302),
        (Oops(), 418),
        (falconws.errors.TemporarilyUnavailable("busy"), 503),
        (ValueError("a fault"), 500),
        # The handler of the error fails, and is not called again.
        (falcon.HTTPFound("/elsewhere\r\nX-Injected: yes"), 500),
        (falcon.HTTPForbidden(headers={"X-Name": "a\nb"}), 500),
    ],
)
@pytest.mark.parametrize("in_group", [False, True])
async def test_an_error_counts_the_same_in_a_group_before_accept(
    error: Exception, status: int, in_group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def bare(req: Any, ws: Any) -> None:
        raise error

    async def handle(req: Any, resp: Any, error: Oops, params: Any, ws: Any = None) -> None:
        raise falcon.HTTPError(418)

    app = app_of(fails(error) if in_group else bare)
    app.add_error_handler(Oops, handle)
    assert (await denied(app)).status == status
    assert ("Traceback" in caplog.text) == (status == 500)


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (falcon.HTTPForbidden(), 3403, logging.ERROR),
        (falcon.HTTPFound("/a\r\nb"), 3302, logging.ERROR),
        (falconws.WebSocketDisconnected(1001), 1011, logging.WARNING),
        (ExceptionGroup("", [falconws.WebSocketDisconnected(1001)] * 2), 1011, logging.WARNING),
        (falconws.errors.TemporarilyUnavailable("busy"), 1013, logging.WARNING),
        (ValueError("a fault"), 1011, logging.ERROR),
        (SystemExit(3), 1011, logging.ERROR),
        (asyncio.CancelledError(), 1011, logging.ERROR),
    ],
)
@pytest.mark.parametrize("in_handler", [False, True])
async def test_an_error_after_accept_closes_with_one_line_in_the_log_wherever_it_is_raised(
    error: BaseException, code: int, level: int, in_handler: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def responder(req: Any, ws: Any) -> None:
        await ws.accept()
        raise Oops if in_handler else error

    async def handle(req: Any, resp: Any, failure: Oops, params: Any, ws: Any = None) -> None:
        raise error

    app = app_of(responder)
    app.add_error_handler(Oops, handle)
    async with Client(app) as client, client.websocket("/") as ws:
        with pytest.raises(falconws.WebSocketDisconnected) as closed:
            await ws.receive_text()
    assert closed.value.code == code
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (line.name, line.levelno) == ("falconws", level)
    assert "WebSocket" in line.getMessage()
    assert "\n" not in line.getMessage()
