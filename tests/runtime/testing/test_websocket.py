"""What a test writes: against Falcon's App, falconws' App and bare ASGI functions."""

from __future__ import annotations

import asyncio
import json

import falcon
import pytest

import falconws
from falconws import CloseCode, PayloadTypeError, WebSocketDisconnected, WebSocketPayloadType
from falconws.testing import Client, HandshakeDenied


async def echo(req, ws):
    await ws.accept()
    while True:
        try:
            await ws.send_media(await ws.receive_media())
        except falcon.WebSocketDisconnected:
            return


async def test_text_data_and_media_go_both_ways(make_app):
    received = []

    async def responder(req, ws):
        await ws.accept()
        received.append(await ws.receive_text())
        received.append(await ws.receive_data())
        received.append(await ws.receive_media())
        received.append(await ws.receive_media())
        await ws.send_text("text")
        await ws.send_data(b"data")
        await ws.send_media({"a": 1})
        await ws.send_media({"b": 2}, WebSocketPayloadType.BINARY)

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        await ws.send_text("één")
        await ws.send_data(memoryview(b"\x00\xff"))
        await ws.send_media({"c": [None]})
        await ws.send_media({"d": b"\x01"}, WebSocketPayloadType.BINARY)
        assert await ws.receive_text() == "text"
        assert await ws.receive_data() == b"data"
        assert await ws.receive_media() == {"a": 1}
        assert await ws.receive_media() == {"b": 2}
        assert await ws.wait_closed() == 1000
    assert received == ["één", b"\x00\xff", {"c": [None]}, {"d": b"\x01"}]


async def test_iteration_yields_media_and_ends_with_the_connection(make_app):
    async def responder(req, ws):
        await ws.accept()
        for number in range(3):
            await ws.send_media(number)
        await ws.close(4000)

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        assert [message async for message in ws] == [0, 1, 2]
        assert ws.close_code == 4000


async def test_the_wrong_payload_type_is_named_and_consumed(make_app):
    async def responder(req, ws):
        await ws.accept()
        await ws.send_data(b"\x01")
        await ws.send_text("one")
        await ws.send_text("two")

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        with pytest.raises(PayloadTypeError, match=r"Expected TEXT on /, received BINARY: b'\\x01'"):
            await ws.receive_text()
        with pytest.raises(PayloadTypeError, match="Expected BINARY on /, received TEXT: 'one'"):
            await ws.receive_data()
        assert await ws.receive_text() == "two"


async def test_undecodable_media_raises_a_value_error(make_app):
    async def responder(req, ws):
        await ws.accept()
        await ws.send_text("{")

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        with pytest.raises(json.JSONDecodeError):
            await ws.receive_media()


async def test_media_handlers_can_be_replaced(make_app):
    class Reversed(falcon.media.TextBaseHandlerWS):
        def serialize(self, media):
            return media[::-1]

        def deserialize(self, payload):
            return payload[::-1].upper()

    async def responder(req, ws):
        await ws.accept()
        await ws.send_text(await ws.receive_text())

    client = Client(make_app(responder), media_handlers={WebSocketPayloadType.TEXT: Reversed()})
    async with client, client.websocket() as ws:
        await ws.send_media("abc")
        assert await ws.receive_media() == "ABC"


async def test_payloads_of_the_wrong_python_type_are_refused(make_app):
    async with Client(make_app(echo)) as client, client.websocket() as ws:
        with pytest.raises(TypeError, match="TEXT message is a str, not bytes"):
            await ws.send_text(b"x")
        with pytest.raises(TypeError, match="BINARY message is bytes, not str"):
            await ws.send_data("x")


async def test_the_apps_close_reaches_the_client_after_its_messages(make_app):
    async def responder(req, ws):
        await ws.accept()
        await ws.send_text("last")
        await ws.close(4001, "enough")

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        assert await ws.wait_closed() == 4001
        assert (ws.closed, ws.close_code, ws.close_reason) == (True, 4001, "enough")
        assert await ws.receive_text() == "last"
        with pytest.raises(WebSocketDisconnected) as caught:
            await ws.receive_text()
        assert (caught.value.code, caught.value.reason) == (4001, "enough")
        with pytest.raises(WebSocketDisconnected):
            await ws.send_text("too late")


@pytest.mark.parametrize(
    ("leave", "code"),
    [
        (lambda ws: ws.close(), 1000),
        (lambda ws: ws.close(4002, "bye"), 4002),
        (lambda ws: ws.close(None), 1005),
        (lambda ws: ws.drop(), 1006),
    ],
    ids=["close", "close-4002", "close-no-status", "drop"],
)
async def test_the_app_learns_how_the_client_left(make_app, leave, code):
    seen = []

    async def responder(req, ws):
        await ws.accept()
        try:
            await ws.receive_text()
        except falcon.WebSocketDisconnected as error:
            seen.append(error.code)

    async with Client(make_app(responder)) as client:
        async with client.websocket() as ws:
            assert (ws.closed, ws.close_code, ws.close_reason) == (False, None, None)
            await leave(ws)
            assert (ws.closed, ws.close_code) == (True, code)
            with pytest.raises(WebSocketDisconnected):
                await ws.receive_text()
            await ws.close(1001)
            assert ws.close_code == code
        assert seen == [code]


async def test_leaving_the_block_closes_with_1000_and_waits_for_the_responder(make_app):
    cleaned_up = []

    async def responder(req, ws):
        await ws.accept()
        try:
            await ws.receive_text()
        except falcon.WebSocketDisconnected as error:
            for _ in range(20):
                await asyncio.sleep(0)
            cleaned_up.append(error.code)

    async with Client(make_app(responder)) as client:
        async with client.websocket():
            pass
        assert cleaned_up == [1000]


async def test_close_codes_that_cannot_be_sent_are_refused(make_app):
    async with Client(make_app(echo)) as client, client.websocket() as ws:
        with pytest.raises(ValueError, match="1006"):
            await ws.close(CloseCode.ABNORMAL)
        with pytest.raises(ValueError, match="123"):
            await ws.close(1000, "x" * 124)
        assert not ws.closed


async def test_subprotocol_and_headers_of_the_acceptance_are_there(make_app):
    async def responder(req, ws):
        assert ws.subprotocols == ("wamp", "mqtt")
        await ws.accept("mqtt", {"X-Room": "one"})

    async with Client(make_app(responder)) as client, client.websocket(subprotocols=["wamp", "mqtt"]) as ws:
        assert ws.subprotocol == "mqtt"
        assert ws.headers["x-room"] == "one"


async def test_close_before_accept_is_a_403(make_app):
    async def responder(req, ws):
        await ws.close()

    async with Client(make_app(responder)) as client:
        with pytest.raises(HandshakeDenied, match=r"on / was denied: 403 Forbidden") as caught:
            async with client.websocket():
                pytest.fail("the block must not run")
        assert caught.value.status == 403


async def test_a_denial_response_arrives_whole_though_streamed():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        headers = [(b"Retry-After", b"7"), (b"x-a", b"1"), (b"x-a", b"2")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b'{"why":', "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b'"busy"}'})
        assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async with Client(app) as client:
        with pytest.raises(HandshakeDenied) as caught:
            async with client.websocket():
                pytest.fail("the block must not run")
    denied = caught.value
    assert denied.status == 429
    assert denied.headers == {"retry-after": "7", "x-a": "1, 2"}
    assert denied.body == b'{"why":"busy"}'
    assert denied.text == '{"why":"busy"}'
    assert denied.media == {"why": "busy"}


async def test_an_http_error_of_falconws_is_the_denial_response():
    class Resource:
        async def on_websocket(self, req, ws):
            raise falcon.HTTPTooManyRequests(title="Slow down", retry_after=3)

    app = falconws.App()
    app.ws_options.allowed_origins = "*"
    app.add_route("/", Resource())
    async with Client(app) as client:
        with pytest.raises(HandshakeDenied) as caught:
            async with client.websocket():
                pytest.fail("the block must not run")
    assert caught.value.status == 429
    assert caught.value.headers["retry-after"] == "3"
    assert caught.value.media["title"] == "Slow down"


async def test_receive_timeout_says_what_the_app_does_and_loses_nothing(make_app):
    go = asyncio.Event()

    async def responder(req, ws):
        await ws.accept()
        await go.wait()
        await ws.send_text("late")

    async with Client(make_app(responder)) as client, client.websocket("/") as ws:
        with pytest.raises(TimeoutError) as caught:
            await ws.receive_text(timeout=0.05)
        message = str(caught.value)
        assert message.startswith("/: no message came within 0.05 s; the app is still running")
        assert "test_websocket.py" in message
        assert "in responder: `await go.wait()`" in message
        go.set()
        assert await ws.receive_text() == "late"


async def test_handshake_timeout_says_that_the_responder_has_not_accepted(make_app):
    ended = []

    async def responder(req, ws):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with Client(make_app(responder), timeout=0.05) as client:
        with pytest.raises(TimeoutError, match=r"neither accepted nor denied .* in responder: `await"):
            async with client.websocket():
                pytest.fail("the block must not run")
        assert ended == [True]


async def test_a_responder_that_does_not_end_is_named_and_cancelled(make_app):
    ended = []

    async def responder(req, ws):
        await ws.accept()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with Client(make_app(responder)) as client:
        with pytest.raises(TimeoutError, match=r"the responder has not ended .* in responder: `await asyncio.Event"):
            async with client.websocket(timeout=0.05):
                pass
        assert ended == [True]


async def test_wait_closed_timeout_says_so(make_app):
    async with Client(make_app(echo)) as client, client.websocket() as ws:
        with pytest.raises(TimeoutError, match=r"the app has not closed within 0\.05 s; .* waits for an event"):
            await ws.wait_closed(timeout=0.05)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
async def test_a_timeout_that_is_no_time_is_refused(make_app, timeout):
    with pytest.raises(ValueError, match="more than 0"):
        Client(make_app(echo), timeout=timeout)
    client = Client(make_app(echo))
    with pytest.raises(ValueError, match="more than 0"):
        client.websocket(timeout=timeout)


async def test_an_app_that_sends_without_end_waits_for_the_client(make_app):
    sent = 0
    ended = []

    async def responder(req, ws):
        nonlocal sent
        await ws.accept()
        try:
            while True:
                await ws.send_text(str(sent))
                sent += 1
        except falcon.WebSocketDisconnected:
            ended.append(sent)

    async with Client(make_app(responder), backlog=3) as client:
        async with client.websocket() as ws:
            for number in range(10):
                assert await ws.receive_text() == str(number)
            assert sent <= 10 + 3
            with pytest.raises(TimeoutError, match="it waits in send, because 3 messages have not been received"):
                await ws.wait_closed(timeout=0.05)
        assert ended == [sent]


async def test_a_client_that_sends_without_end_waits_for_the_app():
    leave = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await leave.wait()

    async with Client(app, backlog=3, timeout=0.2).websocket() as ws:
        for number in range(3):
            await ws.send_text(str(number))
        with pytest.raises(TimeoutError, match=r"the app has not received a message within 0\.2 s"):
            await ws.send_text("3")
        leave.set()


class BrokenError(Exception):
    """What the applications below raise."""


def failing_app(*events):
    async def app(scope, receive, send):
        await receive()
        for event in events:
            await send(event)
        raise BrokenError("on purpose")

    return app


ACCEPT = {"type": "websocket.accept"}
TEXT = {"type": "websocket.send", "text": "before"}


async def test_an_error_before_accept_reaches_the_test():
    with pytest.raises(BrokenError, match="on purpose"):
        async with Client(failing_app()).websocket():
            pytest.fail("the block must not run")


async def test_an_error_after_a_denial_reaches_the_test():
    with pytest.raises(BrokenError, match="on purpose"):
        async with Client(failing_app({"type": "websocket.close"})).websocket():
            pytest.fail("the block must not run")


async def test_an_error_after_accept_reaches_the_waiting_test_after_the_messages():
    async with Client(failing_app(ACCEPT, TEXT)).websocket() as ws:
        assert await ws.receive_text() == "before"
        with pytest.raises(BrokenError):
            await ws.receive_text()
        with pytest.raises(BrokenError):
            await ws.send_text("x")
        with pytest.raises(BrokenError):
            await ws.wait_closed()


async def test_an_error_that_nobody_waited_for_is_raised_at_the_end_of_the_block():
    with pytest.raises(BrokenError):
        async with Client(failing_app(ACCEPT)).websocket():
            pass


async def test_the_tests_own_error_comes_first_and_the_apps_is_a_note():
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with Client(failing_app(ACCEPT)).websocket():
            raise AssertionError("of the test")
    assert caught.value.__notes__ == ["The app also raised BrokenError on /: on purpose"]


async def test_pytest_fail_inside_the_app_fails_the_test():
    async def app(scope, receive, send):
        pytest.fail("from within")

    with pytest.raises(pytest.fail.Exception, match="from within"):
        async with Client(app).websocket():
            pass


async def test_cancelling_the_test_drops_the_connection(make_app):
    seen = []

    async def responder(req, ws):
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    async with Client(make_app(responder)) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), client.websocket():
                pytest.fail("the block must not run")
        assert seen == ["ended"]


async def test_an_app_that_stops_receiving_keeps_no_test_waiting_after_drop(make_app):
    async def responder(req, ws):
        await ws.accept()
        await ws.close()

    async with Client(make_app(responder)) as client, client.websocket() as ws:
        await ws.drop()
        with pytest.raises(WebSocketDisconnected):
            await ws.receive_text()


async def test_many_connections_at_once_do_not_mix(make_app):
    async def talk(client, number):
        async with client.websocket() as ws:
            for count in range(5):
                await ws.send_media([number, count])
                assert await ws.receive_media() == [number, count]

    async with Client(make_app(echo)) as client, asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(talk(client, number))


async def test_leaving_the_client_closes_what_other_tasks_hold_open_with_1012(make_app):
    seen = []

    async def responder(req, ws):
        await ws.accept()
        try:
            await ws.receive_text()
        except falcon.WebSocketDisconnected as error:
            seen.append(error.code)

    async def hold(client, opened):
        async with client.websocket() as ws:
            opened.set()
            return await ws.wait_closed()

    async with asyncio.TaskGroup() as group:
        async with Client(make_app(responder)) as client:
            opened = asyncio.Event()
            holder = group.create_task(hold(client, opened))
            await opened.wait()
        assert seen == [1012]
    assert holder.result() == 1012
