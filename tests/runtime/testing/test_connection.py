"""The client is an ASGI server to the application: events in order, clear errors out of order."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from falconws import WebSocketDisconnected
from falconws.testing import Client, HandshakeDenied

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": []}


def app_that_sends(*events, swallow=False):
    """Return an application that receives 'websocket.connect' and sends *events*."""

    async def app(scope, receive, send):
        assert await receive() == {"type": "websocket.connect"}
        for event in events:
            try:
                await send(event)
            except RuntimeError:
                if not swallow:
                    raise
        while swallow:
            if (await receive())["type"] == "websocket.disconnect":
                return

    return app


async def connect(app, **arguments):
    async with Client(app, timeout=2).websocket("/p", **arguments) as ws:
        await ws.wait_closed()


VIOLATIONS = [
    ([{"type": "websocket.send", "text": "x"}], "'websocket.send' when the responder had neither accepted nor"),
    ([{"type": "websocket.http.response.body"}], "'websocket.http.response.body' when the responder had neither"),
    ([{"type": "http.response.start", "status": 200}], "'http.response.start' when the responder had neither"),
    ([ACCEPT, ACCEPT], "'websocket.accept' when the connection was open"),
    ([ACCEPT, START], "'websocket.http.response.start' when the connection was open"),
    ([START, ACCEPT], "'websocket.accept' when it had begun a denial response"),
    ([{"type": "websocket.accept", "subprotocol": "wamp"}], "the subprotocol 'wamp', but the client offered none"),
    (
        [{"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"wamp")]}],
        "put sec-websocket-protocol among the headers",
    ),
    ([{"type": "websocket.accept", "headers": [("x", "y")]}], r"sent the header ('x', 'y'); names and values are"),
    ([{"type": "websocket.accept", "headers": [(b"x", b"a\r\nb")]}], "without line breaks"),
    ([{**START, "status": 101}], "with the status 101, which is not 200-599"),
    ([START, {"type": "websocket.http.response.body", "body": "text"}], "body as str instead of bytes"),
    ([ACCEPT, {"type": "websocket.send"}], "not exactly one of 'text' and 'bytes'"),
    ([ACCEPT, {"type": "websocket.send", "text": "a", "bytes": b"b"}], "not exactly one of 'text' and 'bytes'"),
    ([ACCEPT, {"type": "websocket.send", "text": b"a"}], "with a bytes, but 'text' is str"),
    ([ACCEPT, {"type": "websocket.send", "bytes": bytearray(b"a")}], "with a bytearray, but 'bytes' is bytes"),
    ([ACCEPT, {"type": "websocket.close", "code": 1006}], "Invalid close code 1006"),
    ([ACCEPT, {"type": "websocket.close", "reason": "x" * 124}], "124 bytes"),
]


@pytest.mark.parametrize("swallow", [False, True], ids=["raised", "swallowed"])
@pytest.mark.parametrize(("events", "sentence"), VIOLATIONS)
async def test_what_breaks_the_protocol_reaches_app_and_test(events, sentence, swallow):
    with pytest.raises(RuntimeError) as caught:
        await connect(app_that_sends(*events, swallow=swallow))
    assert str(caught.value).startswith("The app broke the ASGI protocol on /p: it ")
    assert sentence in str(caught.value)


async def test_an_event_before_connect_was_received_is_refused():
    async def app(scope, receive, send):
        await send(ACCEPT)

    with pytest.raises(RuntimeError, match=r"sent 'websocket\.accept' when it had not received 'websocket\.connect'"):
        await connect(app)


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([], "returned for /p, and the responder had neither accepted nor denied the handshake"),
        ([START], "returned for /p, and it had begun a denial response whose body was not complete"),
    ],
    ids=["no-answer", "half-a-denial"],
)
async def test_an_app_that_returns_without_an_answer_is_an_error(events, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        await connect(app_that_sends(*events))


async def test_an_app_that_returns_while_open_loses_the_connection_with_1006():
    async with Client(app_that_sends(ACCEPT)).websocket() as ws:
        assert await ws.wait_closed() == 1006


async def test_sends_after_the_end_raise_oserror_and_are_no_error_of_the_test():
    raised = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        assert await receive() == {"type": "websocket.disconnect", "code": 4005, "reason": "bye"}
        for event in ({"type": "websocket.send", "text": "x"}, CLOSE):
            try:
                await send(event)
            except OSError as error:
                raised.append(error)
        await send(CLOSE)

    async with Client(app).websocket() as ws:
        await ws.close(4005, "bye")
    assert len(raised) == 2


async def test_a_send_that_waits_for_room_ends_with_oserror_when_the_client_leaves():
    raised = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "text": "x"})
        except OSError as error:
            raised.append(error)

    async with Client(app, backlog=1).websocket() as ws:
        await ws.receive_text()
        await ws.drop()
    assert len(raised) == 1


async def test_an_app_that_ignores_oserror_for_ever_does_not_hang_the_test():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        while True:
            with contextlib.suppress(OSError):
                await send({"type": "websocket.send", "text": "x"})

    with pytest.raises(TimeoutError, match="the responder has not ended"):
        async with Client(app, timeout=0.1).websocket():
            pass


async def test_an_endless_denial_does_not_hang_the_test():
    async def app(scope, receive, send):
        await receive()
        await send(START)
        while True:
            await send({"type": "websocket.http.response.body", "body": b"", "more_body": True})

    with pytest.raises(TimeoutError, match="begun a denial response whose body was not complete"):
        await connect_briefly(app)


async def connect_briefly(app):
    async with Client(app, timeout=0.1).websocket():
        pass


async def test_an_endless_denial_does_not_fill_the_memory():
    async def app(scope, receive, send):
        await receive()
        await send(START)
        while True:
            await send({"type": "websocket.http.response.body", "body": bytes(2**20), "more_body": True})

    with pytest.raises(RuntimeError, match="body of more than 16777216 bytes"):
        await connect(app)


async def test_receive_after_disconnect_is_an_error_instead_of_a_wait_without_end():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        await receive()

    with pytest.raises(RuntimeError, match=r"called receive\(\) after 'websocket.disconnect'"):
        async with Client(app).websocket():
            pass


async def test_unread_messages_come_before_the_disconnect():
    events = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await left.wait()
        while not events or events[-1]["type"] != "websocket.disconnect":
            events.append(await receive())

    left = asyncio.Event()
    async with Client(app).websocket() as ws:
        await ws.send_text("a")
        await ws.send_data(b"b")
        await ws.close(4000, "why")
        left.set()
    assert events == [
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "why"},
    ]


async def test_after_its_own_close_the_app_receives_the_disconnect():
    events = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000, "reason": "why"})
        events.append(await receive())

    async with Client(app).websocket() as ws:
        assert await ws.wait_closed() == 4000
    assert events == [{"type": "websocket.disconnect", "code": 4000, "reason": "why"}]


async def test_close_without_code_is_1000():
    async with Client(app_that_sends(ACCEPT, CLOSE)).websocket() as ws:
        assert await ws.wait_closed() == 1000
        assert ws.close_reason == ""


async def test_close_is_not_held_up_by_a_full_backlog():
    messages = [{"type": "websocket.send", "text": str(n)} for n in range(2)]
    async with Client(app_that_sends(ACCEPT, *messages, CLOSE), backlog=2).websocket() as ws:
        assert await ws.wait_closed() == 1000
        assert [await ws.receive_text(), await ws.receive_text()] == ["0", "1"]


async def test_an_app_that_cancels_itself_is_an_error():
    async def app(scope, receive, send):
        await receive()
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="task for /p was cancelled"):
        await connect(app)


async def test_a_client_that_gives_up_during_the_handshake_is_a_disconnect_with_1006():
    seen = []

    async def app(scope, receive, send):
        await receive()
        seen.append(await receive())

    with pytest.raises(TimeoutError, match="it waits for an event from the client"):
        await connect_briefly(app)
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_close_during_the_handshake_is_an_empty_403():
    with pytest.raises(HandshakeDenied) as caught:
        await connect(app_that_sends(CLOSE))
    assert (caught.value.status, caught.value.headers, caught.value.body) == (403, {}, b"")


async def test_an_app_that_ignores_for_ever_that_it_broke_the_protocol_does_not_hang_the_test():
    async def app(scope, receive, send):
        await receive()
        while True:
            with contextlib.suppress(RuntimeError):
                await send({"type": "websocket.send", "text": "x"})

    with pytest.raises(RuntimeError, match="broke the ASGI protocol"):
        await connect_briefly(app)


async def test_a_client_that_left_receives_nothing_that_was_on_its_way():
    async with Client(app_that_sends(ACCEPT, {"type": "websocket.send", "text": "x"}, swallow=True)).websocket() as ws:
        await ws.close()
        with pytest.raises(WebSocketDisconnected):
            await ws.receive_text()


async def test_a_timeout_does_not_claim_that_an_app_receives_which_has_stopped_to():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        await go.wait()

    go = asyncio.Event()
    async with Client(app).websocket() as ws:
        with pytest.raises(TimeoutError, match="it waits for an event from the client"):
            await ws.receive_text(timeout=0.05)
        await ws.send_text("x")
        with pytest.raises(TimeoutError) as caught:
            await ws.receive_text(timeout=0.05)
        assert "it waits for an event" not in str(caught.value)
        go.set()
