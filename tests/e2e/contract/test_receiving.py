"""Receiving: iteration, timeouts, cancellation, more than one receiver; no message is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from .client import Peer

MESSAGES: dict[str, list[str | bytes]] = {"media": ["1", b"\x01"], "text": ["a", "b"], "data": [b"a", b"b"]}


@pytest.mark.promise("iteration")
@pytest.mark.parametrize("what", ["media", "text", "data"])
async def test_iteration_ends_when_the_client_closes(peer: Peer, what: str) -> None:
    connection = await peer.connect("iterate", f"what={what}")
    for message in MESSAGES[what]:
        await connection.send(message)
        assert await peer.receive(connection) == "next"
    await connection.close()
    note = await peer.saw("loop ended")
    assert (note["closed"], note["ready"]) == (True, False)
    assert (await peer.left())["kinds"] == []
    assert peer.log == []


@pytest.mark.promise("iteration")
async def test_iteration_ends_when_the_connection_is_lost(peer: Peer) -> None:
    connection = await peer.connect("iterate", "what=text")
    connection.transport.abort()
    await peer.saw("loop ended")
    assert (await peer.left())["kinds"] == []
    assert peer.log == []


@pytest.mark.promise("unread-messages")
async def test_what_was_sent_before_the_close_is_still_received(peer: Peer) -> None:
    connection = await peer.connect("collect")
    sent = [str(number) for number in range(100)]
    for message in sent:
        await connection.send(message)
    closing = asyncio.create_task(connection.close(4321))
    await peer.open_gate("receive")
    await closing
    note = await peer.saw("collected")
    assert note["got"] == sent
    assert "WebSocketDisconnected" in note["kinds"]
    again = await peer.saw("again")
    assert again["code"] == note["code"]


@pytest.mark.promise("receive-timeout")
async def test_a_receive_that_times_out_loses_no_message(peer: Peer) -> None:
    connection = await peer.connect("receive-timeout")
    assert await peer.receive(connection) == "timed out"
    assert await peer.receive(connection) == "timed out"
    sent = [str(number) for number in range(200)]
    for message in sent:
        await connection.send(message)
        # A round trip each, so that the messages come one by one and meet timeouts that are running out.
        await (await connection.ping())
    await connection.send("end")
    note = await peer.saw("collected")
    assert note["got"] == [*sent, "end"]
    assert (await peer.saw("timed out"))["kinds"][0] == "TimeoutError"


@pytest.mark.promise("receive-cancelled")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rhythm", ["burst", "one by one"])
async def test_a_cancelled_receive_loses_no_message(peer: Peer, seed: int, rhythm: str) -> None:
    connection = await peer.connect("cancelled-receives", f"seed={seed}")
    sent = [str(number) for number in range(400)]
    for message in sent:
        await connection.send(message)
        if rhythm == "one by one":
            await (await connection.ping())
    await connection.send("end")
    note = await peer.saw("collected")
    assert note["got"] == [*sent, "end"]
    assert note["cancelled"] > 0


@pytest.mark.promise("one-receiver")
async def test_a_second_receiver_is_told_and_the_first_goes_on(peer: Peer) -> None:
    connection = await peer.connect("two-receivers")
    assert await peer.receive(connection) == "now"
    await connection.send("first")
    await connection.send("second")
    assert (await peer.saw("first receiver"))["got"] == "first"
    assert (await peer.saw("later"))["got"] == "second"
    note = await peer.saw("second receiver")
    assert "OperationNotAllowed" in note["kinds"]
    assert "receiv" in note["text"]


@pytest.mark.promise("wait-while-receiving")
async def test_waiting_for_the_end_takes_no_message_from_the_receiver(peer: Peer) -> None:
    connection = await peer.connect("wait-and-receive")
    sent = [str(number) for number in range(100)]
    for message in sent:
        await connection.send(message)
    await connection.close(4321)
    assert (await peer.saw("collected"))["got"] == sent
    await peer.saw("watch saw")
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("parallel-loops")
async def test_two_loops_side_by_side(peer: Peer) -> None:
    connection = await peer.connect("parallel-loops")
    sent = [str(number) for number in range(100)]
    for message in sent:
        await connection.send(message)
    assert [await peer.receive(connection) for _ in sent] == sent
    await connection.close()
    assert (await peer.saw("ended"))["ready"] is False
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("task-scope")
async def test_a_scope_ends_all_tasks_when_the_client_leaves(peer: Peer) -> None:
    connection = await peer.connect("task-scope")
    assert [await peer.receive(connection) for _ in range(3)] == ["0", "1", "2"]
    await connection.close()
    assert (await peer.saw("scope left"))["closed"] is True
    await peer.saw("writer cancelled")
    await peer.saw("reader ended")
    assert (await peer.left())["kinds"] == []
    assert peer.log == []


@pytest.mark.promise("task-scope")
async def test_a_scope_ends_all_tasks_when_one_ends(peer: Peer) -> None:
    connection = await peer.connect("task-scope")
    await connection.send("one")
    await connection.send("stop")
    code, _ = await peer.closed(connection)
    assert code == 4000
    assert (await peer.saw("scope left"))["closed"] is False
    await peer.saw("reader got", message="one")
    await peer.saw("writer cancelled")


@pytest.mark.promise("task-scope")
async def test_an_error_in_a_scope_ends_it_and_reaches_the_error_handler(peer: Peer) -> None:
    connection = await peer.connect("task-scope")
    await connection.send("fail")
    code, _ = await peer.closed(connection)
    assert code == 4418
    await peer.saw("writer cancelled")
    await peer.saw("teapot handled")


@pytest.mark.promise("send-cancelled")
async def test_a_cancelled_send_leaves_no_half_message_behind(peer: Peer) -> None:
    connection = await peer.connect("cancelled-sends")
    numbers: list[int] = []
    while (message := await peer.receive(connection)) != "end":
        head, _, body = str(message).partition(":")
        numbers.append(int(head))
        assert body == "x" * 40_000
    cancelled = set((await peer.saw("cancelled"))["numbers"])
    assert cancelled
    assert len(numbers) == len(set(numbers))
    # A server may take a message although nobody waits for that any more: granian does, and when, is up to its threads.
    assert [number for number in numbers if number not in cancelled] == sorted({*range(200)} - cancelled)
    assert (await peer.closed(connection))[0] == 1000


@pytest.mark.promise("concurrent-sends")
async def test_a_thousand_concurrent_sends_arrive_whole_and_in_order(peer: Peer) -> None:
    connection = await peer.connect("concurrent-sends")
    for number in range(1000):
        message = await peer.receive(connection)
        text = message if isinstance(message, str) else message.decode()
        assert isinstance(message, str) == bool(number % 2)
        head, _, body = text.partition(":")
        assert head == str(number)
        size = 100_000 if number % 200 == 0 else (10, 200, 1000, 10)[number % 4]
        assert body == chr(ord("a") + number % 26) * size
    assert (await peer.closed(connection))[0] == 1000
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("rate-limit")
async def test_a_client_over_its_rate_is_closed_with_1008(peer: Peer) -> None:
    connection = await peer.connect("limited")
    for number in range(7):
        await connection.send(str(number))
    assert [await peer.receive(connection) for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert (await peer.closed(connection))[0] == 1008
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]


@pytest.mark.promise("rate-limit-slows-down")
async def test_a_client_over_its_rate_is_slowed_down_and_loses_nothing(peer: Peer) -> None:
    connection = await peer.connect("slowed")
    texts = [str(number) for number in range(30)]
    for text in texts:
        await connection.send(text)
    assert [await peer.receive(connection) for _ in texts] == texts
