import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import falconws
from falconws.testing import Client, ClientWebSocket, HandshakeDenied

SECONDS = 20.0

Responder = Callable[[falconws.Request, falconws.WebSocket], Awaitable[None]]


def client_of(responder: Responder) -> Client:
    class Resource:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await responder(req, ws)

    app = falconws.App()
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/", Resource())
    return Client(app)


async def hold(responder: Responder, conversation: Callable[[ClientWebSocket], Awaitable[None]]) -> None:
    """Let *conversation* talk to *responder*; errors of either reach the test."""
    failed: list[BaseException] = []

    async def guarded(req: falconws.Request, ws: falconws.WebSocket) -> None:
        try:
            await responder(req, ws)
        except Exception as error:
            failed.append(error)

    async with client_of(guarded) as client, client.websocket("/") as ws:
        await conversation(ws)
    if failed:
        raise failed[0]


# deny()


@pytest.mark.parametrize(
    ("arguments", "status", "body", "content_type"),
    [
        ({}, 403, b"", None),
        ({"status": 429, "headers": {"Retry-After": "5"}}, 429, b"", None),
        ({"status": "451 Unavailable", "text": "ż"}, 451, "ż".encode(), "text/plain; charset=utf-8"),
        ({"media": {"error": 1}}, 403, b'{"error": 1}', "application/json"),
        ({"data": b"\x00", "headers": [("Content-Type", "image/png")]}, 403, b"\x00", "image/png"),
    ],
)
async def test_deny_is_an_http_response(
    arguments: dict[str, Any], status: int, body: bytes, content_type: str | None
) -> None:
    seen: list[Any] = []

    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        assert ws.supports_denial
        await ws.deny(**arguments)
        seen.extend((ws.closed, ws.ready, ws.close_code))
        with pytest.raises(falconws.OperationNotAllowed):
            await ws.accept()
        await ws.close()

    async with client_of(responder) as client:
        with pytest.raises(HandshakeDenied) as caught:
            async with client.websocket("/"):
                pytest.fail("accepted")
    assert (caught.value.status, caught.value.body) == (status, body)
    assert caught.value.headers.get("content-type") == content_type
    assert caught.value.headers.get("retry-after") == ("5" if status == 429 else None)
    assert seen == [True, False, 1006]


@pytest.mark.parametrize("arguments", [{"status": 200}, {"status": 101}, {"status": 600}, {"text": "a", "data": b"b"}])
async def test_deny_refuses_what_is_no_refusal(arguments: dict[str, Any]) -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        with pytest.raises(ValueError, match=r"cannot refuse|at most one"):
            await ws.deny(**arguments)
        await ws.accept()

    async def conversation(ws: ClientWebSocket) -> None:
        assert await ws.wait_closed() == 1000

    await hold(responder, conversation)


async def test_deny_after_accept_is_not_allowed() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        with pytest.raises(falconws.OperationNotAllowed, match="handshake is over"):
            await ws.deny()

    async def conversation(ws: ClientWebSocket) -> None:
        assert await ws.wait_closed() == 1000

    await hold(responder, conversation)


# What is known of a connection


async def test_the_socket_tells_its_state_at_each_step() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        assert (ws.unaccepted, ws.ready, ws.closed) == (True, False, False)
        assert (ws.subprotocols, ws.subprotocol) == (("a", "b"), None)
        await ws.accept("b")
        assert (ws.unaccepted, ws.ready, ws.closed, ws.subprotocol) == (False, True, False, "b")
        assert (ws.close_code, ws.close_reason) == (None, None)
        await ws.close(4000, "done")
        assert (ws.unaccepted, ws.ready, ws.closed) == (False, False, True)
        assert (ws.close_code, ws.close_reason) == (4000, "done")
        with pytest.raises(falconws.WebSocketDisconnected) as caught:
            await ws.send_text("x")
        assert (caught.value.code, caught.value.reason) == (4000, "done")

    failed: list[Exception] = []

    async def guarded(req: Any, ws: falconws.WebSocket) -> None:
        try:
            await responder(req, ws)
        except Exception as error:
            failed.append(error)

    async with client_of(guarded) as client, client.websocket("/", subprotocols=["a", "b"]) as ws:
        assert await ws.wait_closed() == 4000
        assert ws.close_reason == "done"
    assert failed == []


@pytest.mark.parametrize(
    ("leave", "end"),
    [
        (lambda ws: ws.close(4001, "bye"), (4001, "bye")),
        (lambda ws: ws.close(None), (1005, "")),
        (lambda ws: ws.drop(), (1006, "")),
    ],
)
@pytest.mark.parametrize("look", ["receive", "send", "poll", "wait"])
async def test_however_the_peer_leaves_the_responder_is_told(look: str, leave: Any, end: tuple[int, str]) -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async with asyncio.timeout(SECONDS):
            if look == "receive":
                with pytest.raises(falconws.WebSocketDisconnected) as caught:
                    await ws.receive_text()
                assert (caught.value.code, caught.value.reason) == end
            elif look == "wait":
                await ws.wait_disconnected()
            elif look == "poll":
                while ws.ready:
                    await asyncio.sleep(0.001)
            else:
                with pytest.raises(falconws.WebSocketDisconnected) as caught:
                    while True:
                        await ws.send_text("tick")
                        await asyncio.sleep(0.001)
                assert (caught.value.code, caught.value.reason) == end
        assert (ws.close_code, ws.close_reason) == end

    async def conversation(ws: ClientWebSocket) -> None:
        await leave(ws)

    await hold(responder, conversation)


# Iteration


async def test_iteration_yields_messages_and_ends_with_the_connection() -> None:
    received: list[Any] = []

    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        texts = ws.iter_text()
        received.append(await anext(texts))
        received.append(await anext(ws.iter_data()))
        async for media in ws:
            received.append(media)
        async for text in texts:
            pytest.fail(f"{text} after the end")
        assert ws.close_code == 1000

    async def conversation(ws: ClientWebSocket) -> None:
        await ws.send_text("plain")
        await ws.send_data(b"raw")
        await ws.send_media({"a": 1})
        await ws.send_media({"b": b"2"}, payload_type=falconws.WebSocketPayloadType.BINARY)

    await hold(responder, conversation)
    assert received == ["plain", b"raw", {"a": 1}, {"b": b"2"}]


async def test_a_disconnect_within_the_body_of_a_loop_is_raised() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        with pytest.raises(falconws.WebSocketDisconnected):
            async for _ in ws:
                raise falconws.WebSocketDisconnected(4000)

    async def conversation(ws: ClientWebSocket) -> None:
        await ws.send_media(1)
        assert await ws.wait_closed() == 1000

    await hold(responder, conversation)


# Timeouts and tasks


async def test_a_receive_that_times_out_loses_nothing() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        for operation in (ws.receive_text, ws.receive_data, ws.receive_media):
            with pytest.raises(TimeoutError, match="No message within"):
                await operation(timeout=0.001)
        await ws.send_text("now")
        assert await ws.receive_text(timeout=SECONDS) == "first"
        assert await ws.receive_media(timeout=SECONDS) == ["second"]

    async def conversation(ws: ClientWebSocket) -> None:
        assert await ws.receive_text() == "now"
        await ws.send_text("first")
        await ws.send_media(["second"])
        assert await ws.wait_closed() == 1000

    await hold(responder, conversation)


async def test_parallel_loops_take_three_lines() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        messages: asyncio.Queue[str] = asyncio.Queue()

        async def sink() -> None:
            async for text in ws.iter_text():
                messages.put_nowait(text)

        async def source() -> None:
            while True:
                await ws.send_text(await messages.get())

        async with ws.task_scope() as scope:
            scope.create_task(sink())
            scope.create_task(source())
        assert ws.close_code == 4000

    async def conversation(ws: ClientWebSocket) -> None:
        for text in ("a", "b"):
            await ws.send_text(text)
            assert await ws.receive_text() == text
        await ws.close(4000)

    await hold(responder, conversation)


async def test_another_task_can_close_while_one_receives() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        receiving = asyncio.create_task(ws.receive_text())
        await asyncio.sleep(0)
        await ws.close(4002)
        with pytest.raises(falconws.WebSocketDisconnected) as caught:
            await asyncio.wait_for(receiving, SECONDS)
        assert caught.value.code == 4002

    async def conversation(ws: ClientWebSocket) -> None:
        assert await ws.wait_closed() == 4002

    await hold(responder, conversation)


async def test_wait_disconnected_works_before_accept() -> None:
    left = asyncio.Event()

    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.wait_disconnected()
        left.set()

    async with client_of(responder) as client:
        with pytest.raises(TimeoutError):
            async with client.websocket("/", timeout=0.05):
                pytest.fail("accepted")
        await asyncio.wait_for(left.wait(), SECONDS)


async def test_without_news_from_the_server_nothing_is_going_away() -> None:
    async def responder(req: Any, ws: falconws.WebSocket) -> None:
        await ws.accept()
        assert not ws.going_away.is_set()
        assert ws.going_away is ws.going_away

    async def conversation(ws: ClientWebSocket) -> None:
        assert await ws.wait_closed() == 1000

    await hold(responder, conversation)
