import asyncio
from collections.abc import Callable

import falcon
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconws import OperationNotAllowed, WebSocketDisconnected
from falconws.stream import AsgiStream, Close
from tests.runtime.scripted_server import FutureServer, ScriptedServer

SECONDS = 20.0
"""A bound for waits that end at once when all is well."""


def make_stream(
    server: ScriptedServer, *, max_queue: int = 4, max_read_ahead: int = 65536, reason_given: bool = True
) -> AsgiStream:
    return AsgiStream(
        server.receive,
        server.send,
        max_queue,
        max_read_ahead,
        cancellable=not isinstance(server, FutureServer),
        reason_given=reason_given,
    )


async def texts(stream: AsgiStream) -> list[str]:
    received = []
    while (payload := await asyncio.wait_for(stream.receive(), SECONDS)) is not None:
        assert isinstance(payload, str)
        received.append(payload)
    return received


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(params=[ScriptedServer, FutureServer])
async def scripted(request: pytest.FixtureRequest) -> ScriptedServer:
    made: ScriptedServer = request.param()
    return made


async def test_messages_come_in_order_and_then_none(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    scripted.put("a", "b", "c")
    scripted.disconnect(code=1001, reason="bye")
    assert await texts(stream) == ["a", "b", "c"]
    assert stream.closed == Close(1001, "bye")
    assert await stream.receive() is None


async def test_a_responder_that_keeps_receiving_starts_no_task() -> None:
    server = ScriptedServer()
    stream = make_stream(server)
    server.put(*"abcdefgh")
    server.disconnect(code=1000, reason="")
    before = asyncio.all_tasks()
    assert await stream.receive() is not None
    assert asyncio.all_tasks() == before
    await texts(stream)


@pytest.mark.parametrize(
    ("fields", "reason_given", "close"),
    [
        ({"code": 4000, "reason": "x"}, True, Close(4000, "x")),
        ({"code": 1005, "reason": ""}, True, Close(1005, "")),
        ({"code": 1005}, True, Close(1006, "")),
        ({"code": 1005}, False, Close(1005, "")),
        ({"code": None}, False, Close(1005, "")),
        ({}, False, Close(1005, "")),
        ({"code": 1006}, False, Close(1006, "")),
        ({"code": 1000, "reason": None}, True, Close(1000, "")),
    ],
)
async def test_the_close_is_reported_as_the_server_says(
    fields: dict[str, object], reason_given: bool, close: Close
) -> None:
    server = ScriptedServer()
    stream = make_stream(server, reason_given=reason_given)
    server.disconnect(**fields)
    assert await stream.receive() is None
    assert stream.closed == close


async def test_a_second_receiver_is_refused_and_the_first_goes_on(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    first = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    with pytest.raises(OperationNotAllowed, match="Another task is already receiving"):
        await stream.receive()
    scripted.put("a")
    assert await asyncio.wait_for(first, SECONDS) == "a"
    stream.stop()


async def test_a_timeout_raises_and_loses_no_message(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    with pytest.raises(TimeoutError, match=r"No message within 0\.001 s"):
        await stream.receive(timeout=0.001)
    scripted.put("a", "b")
    scripted.disconnect()
    assert await texts(stream) == ["a", "b"]


async def test_a_timeout_that_does_not_run_out_changes_nothing(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    scripted.put("a")
    assert await stream.receive(timeout=SECONDS) == "a"
    scripted.disconnect(code=1001)
    assert await stream.receive(timeout=SECONDS) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["put", "get", "cancel", "timeout", "idle"]), max_size=40), st.booleans())
def test_no_message_is_lost_or_doubled_whatever_the_responder_does(steps: list[str], future: bool) -> None:
    async def run() -> None:
        server = FutureServer() if future else ScriptedServer()
        stream = make_stream(server, max_queue=2)
        received: list[str] = []
        put = 0
        for step in steps:
            if step == "put":
                server.put(str(put))
                put += 1
            elif step == "idle":
                await asyncio.sleep(0)
                stream.watch_for_disconnect()
            elif step == "cancel":
                task = asyncio.create_task(stream.receive())
                await asyncio.sleep(0)
                task.cancel()
                try:
                    event = await task
                except asyncio.CancelledError:
                    continue
                assert event is not None
                received.append(str(event))
            else:
                try:
                    event = await stream.receive(
                        timeout=0.0005 if step == "timeout" or put == len(received) else SECONDS
                    )
                except TimeoutError:
                    continue
                assert event is not None
                received.append(str(event))
        server.disconnect(code=1000, reason="")
        received += await texts(stream)
        assert received == [str(number) for number in range(put)]

    asyncio.run(run())


async def test_an_idle_responder_learns_of_the_close(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    scripted.disconnect(code=1001, reason="")
    await until(lambda: stream.closed is not None)
    assert stream.closed == Close(1001, "")


async def test_the_watch_stops_at_the_queue_limit(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted, max_queue=2)
    scripted.put(*"abcdef")
    await until(lambda: scripted.receives == 2)
    await asyncio.sleep(0.05)
    assert scripted.receives == 2
    stream.stop()


async def test_watching_for_a_disconnect_reads_past_unread_messages(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted, max_queue=2)
    scripted.put(*(str(number) for number in range(100)))
    scripted.disconnect(code=4321, reason="")
    stream.watch_for_disconnect()
    await until(lambda: stream.closed is not None)
    assert await texts(stream) == [str(number) for number in range(100)]


async def test_reading_ahead_is_bounded_in_bytes_and_goes_on_when_there_is_capacity() -> None:
    server = ScriptedServer()
    stream = make_stream(server, max_queue=1, max_read_ahead=1000)
    # 36 bytes and 64 on top: ten of them fill the bound.
    server.put(*(f"{number:036}" for number in range(30)))
    server.disconnect(code=1000, reason="")
    waiting = asyncio.create_task(stream.wait_closed())
    await until(lambda: server.receives == 10)
    await asyncio.sleep(0.05)
    assert server.receives == 10
    assert len(await texts(stream)) == 30
    assert await asyncio.wait_for(waiting, SECONDS) == Close(1000, "")


async def test_wait_closed_returns_for_everyone(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    waiting = [asyncio.create_task(stream.wait_closed()) for _ in range(3)]
    await asyncio.sleep(0)
    scripted.disconnect(code=1001, reason="r")
    assert await asyncio.wait_for(asyncio.gather(*waiting), SECONDS) == [Close(1001, "r")] * 3
    assert await stream.wait_closed() == Close(1001, "r")


async def test_wait_closed_hears_what_a_receiver_hears(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    receiving = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.wait_closed())
    await asyncio.sleep(0)
    scripted.disconnect(code=1001)
    assert await asyncio.wait_for(receiving, SECONDS) is None
    assert (await asyncio.wait_for(waiting, SECONDS)).code == 1001


@pytest.mark.parametrize("max_queue", [0, 4])
async def test_wait_closed_works_while_another_task_receives_now_and_then(max_queue: int) -> None:
    server = ScriptedServer()
    stream = make_stream(server, max_queue=max_queue)
    receiving = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.wait_closed())
    await asyncio.sleep(0)
    server.put("a")
    assert await asyncio.wait_for(receiving, SECONDS) is not None
    server.disconnect(code=1001)
    assert (await asyncio.wait_for(waiting, SECONDS)).code == 1001


async def test_without_a_queue_nothing_is_received_ahead() -> None:
    server = ScriptedServer()
    stream = make_stream(server, max_queue=0)
    stream.watch_for_disconnect()
    server.put("a")
    await asyncio.sleep(0.05)
    assert server.receives == 0
    assert await stream.receive(timeout=SECONDS) is not None


async def test_a_server_whose_receive_fails_counts_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> dict[str, object]:
        raise RuntimeError("server bug")

    stream = AsgiStream(receive, ScriptedServer().send, 4, 0, cancellable=True, reason_given=True)
    assert await asyncio.wait_for(stream.wait_closed(), SECONDS) == Close(1006, "")
    assert "server bug" in caplog.text


async def test_discovering_the_close_gives_up_on_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.stream._DISCOVER_CLOSE_S", 0.01)
    stream = make_stream(ScriptedServer())
    assert await stream.discover_close() is None
    stream.stop()


async def test_stopping_leaves_no_task_behind(scripted: ScriptedServer) -> None:
    stream = make_stream(scripted)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(stream.wait_closed())
    await asyncio.sleep(0)
    stream.stop()
    stream.record_close(1000, "")
    await asyncio.wait_for(waiting, SECONDS)
    scripted.put("nobody takes it")  # lets the double's own feeder end
    await until(lambda: asyncio.all_tasks() == before)


# Sending


@pytest.fixture
async def stream(scripted: ScriptedServer) -> AsgiStream:
    return AsgiStream(scripted.receive, scripted.send, 4, 0, cancellable=True, reason_given=True)


async def test_concurrent_senders_take_turns_first_come_first_served(
    scripted: ScriptedServer, stream: AsgiStream
) -> None:
    scripted.gate.clear()
    senders = [asyncio.create_task(stream.send(str(number))) for number in range(20)]
    await asyncio.sleep(0)
    scripted.gate.set()
    latecomer = asyncio.create_task(stream.send("last"))
    await asyncio.gather(*senders, latecomer)
    assert [event["text"] for event in scripted.sent] == [*map(str, range(20)), "last"]


async def test_a_cancelled_sender_lets_the_next_one_send(scripted: ScriptedServer, stream: AsgiStream) -> None:
    scripted.gate.clear()
    senders = [asyncio.create_task(stream.send(str(number))) for number in range(4)]
    await asyncio.sleep(0)
    senders[1].cancel()
    await asyncio.sleep(0)
    # The gate opens and the third one, which is next, is cancelled in the same instant.
    scripted.gate.set()
    await senders[0]
    senders[2].cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    sent = [event["text"] for event in scripted.sent]
    assert sent[0] == "0"
    assert sent[-1] == "3"
    assert "1" not in sent


async def test_after_a_failure_the_next_sender_is_told_too(scripted: ScriptedServer, stream: AsgiStream) -> None:
    scripted.gate.clear()
    scripted.failure = OSError("gone")
    scripted.disconnect(code=4000, reason="enough")
    senders = [asyncio.create_task(stream.send(str(number))) for number in range(3)]
    await asyncio.sleep(0)
    scripted.gate.set()
    for error in await asyncio.gather(*senders, return_exceptions=True):
        assert isinstance(error, WebSocketDisconnected)
        assert (error.code, error.reason) == (4000, "enough")
    assert scripted.sent == []


@pytest.mark.parametrize(
    "failure", [OSError("gone"), BrokenPipeError(), RuntimeError("after sending 'websocket.close'")]
)
async def test_a_failed_send_tells_how_the_connection_ended(
    scripted: ScriptedServer, stream: AsgiStream, failure: Exception
) -> None:
    scripted.failure = failure
    scripted.put(*"unread messages")
    scripted.disconnect(code=1001, reason="closed the tab")
    with pytest.raises(WebSocketDisconnected) as caught:
        await stream.send("x")
    assert (caught.value.code, caught.value.reason) == (1001, "closed the tab")
    assert caught.value.__cause__ is failure


async def test_an_oserror_without_news_is_1006(
    scripted: ScriptedServer, stream: AsgiStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.stream._DISCOVER_CLOSE_S", 0.01)
    scripted.failure = ConnectionResetError()
    with pytest.raises(WebSocketDisconnected) as caught:
        await stream.send("x")
    assert caught.value.code == 1006


async def test_a_runtimeerror_on_a_living_connection_is_what_it_is(
    scripted: ScriptedServer, stream: AsgiStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.stream._DISCOVER_CLOSE_S", 0.01)
    scripted.failure = RuntimeError("server bug")
    with pytest.raises(RuntimeError, match="server bug"):
        await stream.send("x")


async def test_falcons_test_client_says_it_with_its_own_error(scripted: ScriptedServer, stream: AsgiStream) -> None:
    scripted.failure = falcon.WebSocketDisconnected(4001)
    with pytest.raises(WebSocketDisconnected) as caught:
        await stream.send("x")
    assert caught.value.code == 4001
