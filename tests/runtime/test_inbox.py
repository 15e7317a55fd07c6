import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconws import OperationNotAllowed
from falconws.stream import End, Inbox
from tests.runtime.scripted import FutureServer, ScriptedServer

SECONDS = 20.0
"""A bound for waits that end at once when all is well."""


def make_inbox(
    server: ScriptedServer, *, max_queue: int = 4, max_read_ahead: int = 65536, reason_given: bool = True
) -> Inbox:
    return Inbox(
        server.receive,
        max_queue,
        max_read_ahead,
        cancellable=not isinstance(server, FutureServer),
        reason_given=reason_given,
    )


async def texts(inbox: Inbox) -> list[str]:
    received = []
    while (payload := await asyncio.wait_for(inbox.get(), SECONDS)) is not None:
        assert isinstance(payload, str)
        received.append(payload)
    return received


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(params=[ScriptedServer, FutureServer])
async def server(request: pytest.FixtureRequest) -> ScriptedServer:
    made: ScriptedServer = request.param()
    return made


async def test_messages_come_in_order_and_then_none(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    server.put("a", "b", "c")
    server.disconnect(code=1001, reason="bye")
    assert await texts(inbox) == ["a", "b", "c"]
    assert inbox.end == End(1001, "bye")
    assert await inbox.get() is None


async def test_a_responder_that_keeps_receiving_starts_no_task() -> None:
    server = ScriptedServer()
    inbox = make_inbox(server)
    server.put(*"abcdefgh")
    server.disconnect(code=1000, reason="")
    before = asyncio.all_tasks()
    assert await inbox.get() is not None
    assert asyncio.all_tasks() == before
    await texts(inbox)


@pytest.mark.parametrize(
    ("fields", "reason_given", "end"),
    [
        ({"code": 4000, "reason": "x"}, True, End(4000, "x")),
        ({"code": 1005, "reason": ""}, True, End(1005, "")),
        ({"code": 1005}, True, End(1006, "")),
        ({"code": 1005}, False, End(1005, "")),
        ({"code": None}, False, End(1005, "")),
        ({}, False, End(1005, "")),
        ({"code": 1006}, False, End(1006, "")),
        ({"code": 1000, "reason": None}, True, End(1000, "")),
    ],
)
async def test_the_end_is_told_as_it_was(fields: dict[str, object], reason_given: bool, end: End) -> None:
    server = ScriptedServer()
    inbox = make_inbox(server, reason_given=reason_given)
    server.disconnect(**fields)
    assert await inbox.get() is None
    assert inbox.end == end


async def test_a_second_receiver_is_refused_and_the_first_goes_on(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    first = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    with pytest.raises(OperationNotAllowed, match="Another task is already receiving"):
        await inbox.get()
    server.put("a")
    assert await asyncio.wait_for(first, SECONDS) == "a"
    inbox.stop()


async def test_a_timeout_raises_and_loses_no_message(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    with pytest.raises(TimeoutError, match=r"No message within 0\.001 s"):
        await inbox.get(timeout=0.001)
    server.put("a", "b")
    server.disconnect()
    assert await texts(inbox) == ["a", "b"]


async def test_a_timeout_that_does_not_run_out_changes_nothing(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    server.put("a")
    assert await inbox.get(timeout=SECONDS) == "a"
    server.disconnect(code=1001)
    assert await inbox.get(timeout=SECONDS) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["put", "get", "cancel", "timeout", "idle"]), max_size=40), st.booleans())
def test_no_message_is_lost_or_doubled_whatever_the_responder_does(steps: list[str], future: bool) -> None:
    async def run() -> None:
        server = FutureServer() if future else ScriptedServer()
        inbox = make_inbox(server, max_queue=2)
        received: list[str] = []
        put = 0
        for step in steps:
            if step == "put":
                server.put(str(put))
                put += 1
            elif step == "idle":
                await asyncio.sleep(0)
                inbox.want_news()
            elif step == "cancel":
                task = asyncio.create_task(inbox.get())
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
                    event = await inbox.get(timeout=0.0005 if step == "timeout" or put == len(received) else SECONDS)
                except TimeoutError:
                    continue
                assert event is not None
                received.append(str(event))
        server.disconnect(code=1000, reason="")
        received += await texts(inbox)
        assert received == [str(number) for number in range(put)]

    asyncio.run(run())


async def test_an_idle_responder_learns_of_the_end(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    inbox.start()
    server.disconnect(code=1001, reason="")
    await until(lambda: inbox.end is not None)
    assert inbox.end == End(1001, "")


async def test_the_watch_stops_at_the_queue_limit(server: ScriptedServer) -> None:
    inbox = make_inbox(server, max_queue=2)
    server.put(*"abcdef")
    inbox.start()
    await until(lambda: server.receives == 2)
    await asyncio.sleep(0.05)
    assert server.receives == 2
    inbox.stop()


async def test_wanting_news_reads_past_unread_messages_to_the_end(server: ScriptedServer) -> None:
    inbox = make_inbox(server, max_queue=2)
    server.put(*(str(number) for number in range(100)))
    server.disconnect(code=4321, reason="")
    inbox.start()
    inbox.want_news()
    await until(lambda: inbox.end is not None)
    assert await texts(inbox) == [str(number) for number in range(100)]


async def test_reading_ahead_is_bounded_in_bytes_and_goes_on_when_there_is_room() -> None:
    server = ScriptedServer()
    inbox = make_inbox(server, max_queue=1, max_read_ahead=1000)
    # 36 bytes and 64 on top: ten of them fill the bound.
    server.put(*(f"{number:036}" for number in range(30)))
    server.disconnect(code=1000, reason="")
    waiting = asyncio.create_task(inbox.wait_end())
    await until(lambda: server.receives == 10)
    await asyncio.sleep(0.05)
    assert server.receives == 10
    assert len(await texts(inbox)) == 30
    assert await asyncio.wait_for(waiting, SECONDS) == End(1000, "")


async def test_wait_end_returns_for_everyone_who_waits(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    waiting = [asyncio.create_task(inbox.wait_end()) for _ in range(3)]
    await asyncio.sleep(0)
    server.disconnect(code=1001, reason="r")
    assert await asyncio.wait_for(asyncio.gather(*waiting), SECONDS) == [End(1001, "r")] * 3
    assert await inbox.wait_end() == End(1001, "r")


async def test_wait_end_hears_what_a_receiver_hears(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    receiving = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(inbox.wait_end())
    await asyncio.sleep(0)
    server.disconnect(code=1001)
    assert await asyncio.wait_for(receiving, SECONDS) is None
    assert (await asyncio.wait_for(waiting, SECONDS)).code == 1001


@pytest.mark.parametrize("max_queue", [0, 4])
async def test_wait_end_works_while_another_task_receives_now_and_then(max_queue: int) -> None:
    server = ScriptedServer()
    inbox = make_inbox(server, max_queue=max_queue)
    receiving = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(inbox.wait_end())
    await asyncio.sleep(0)
    server.put("a")
    assert await asyncio.wait_for(receiving, SECONDS) is not None
    server.disconnect(code=1001)
    assert (await asyncio.wait_for(waiting, SECONDS)).code == 1001


async def test_without_a_queue_nothing_is_received_unasked() -> None:
    server = ScriptedServer()
    inbox = make_inbox(server, max_queue=0)
    inbox.start()
    inbox.want_news()
    server.put("a")
    await asyncio.sleep(0.05)
    assert server.receives == 0
    assert await inbox.get(timeout=SECONDS) is not None


async def test_a_server_whose_receive_fails_counts_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> dict[str, object]:
        raise RuntimeError("server bug")

    inbox = Inbox(receive, 4, 0, cancellable=True, reason_given=True)
    assert await asyncio.wait_for(inbox.wait_end(), SECONDS) == End(1006, "")
    assert "server bug" in caplog.text


async def test_learning_the_end_gives_up_on_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.stream._LEARN_END_S", 0.01)
    inbox = make_inbox(ScriptedServer())
    assert await inbox.learn_end() is None
    inbox.stop()


async def test_stopping_leaves_no_task_behind(server: ScriptedServer) -> None:
    inbox = make_inbox(server)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(inbox.wait_end())
    await asyncio.sleep(0)
    inbox.stop()
    inbox.finish(1000, "")
    await asyncio.wait_for(waiting, SECONDS)
    server.put("nobody takes it")  # lets the double's own feeder end
    await until(lambda: asyncio.all_tasks() == before)
