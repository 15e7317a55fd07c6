"""How many messages a connection may hand out until it gives way, and that all that have given way go on."""

import asyncio

import pytest

from falconws.server.websocket import time_slice
from falconws.server.websocket.settings import ConnectionSettings
from falconws.server.websocket.time_slice import give_way, grant


@pytest.mark.parametrize(
    ("taken", "elapsed_s", "granted"),
    [
        (1, 0.0, 16),
        (1, 0.000_010, 16),
        (1, 0.000_9, 4),
        (1, 0.002_4, 1),
        (1, 0.003, 0),
        (1, 1.0, 0),
        (50, 0.000_1, 14),
        (64, 0.000_1, 0),
        (10, 0.004_7, 0),
    ],
)
def test_a_slice_grants_what_fits_into_it(monkeypatch, taken, elapsed_s, granted):
    monkeypatch.setattr(time_slice, "perf_counter", lambda: elapsed_s)
    assert grant(0.0, taken) == granted


async def test_a_slice_is_short_while_others_wait(monkeypatch):
    monkeypatch.setattr(time_slice, "perf_counter", lambda: 0.000_6)
    assert grant(0.0, 1) == 7
    waiting = give_way(asyncio.get_running_loop())
    assert grant(0.0, 1) == 0
    await asyncio.wait_for(waiting, 20)
    assert grant(0.0, 1) == 7


async def test_one_that_has_given_way_goes_on_in_each_iteration():
    loop = asyncio.get_running_loop()
    futures = [give_way(loop) for _ in range(5)]
    futures[1].cancel()
    done = []
    for _ in range(5):
        await asyncio.sleep(0)
        done.append(sum(future.done() and not future.cancelled() for future in futures))
    assert done == [1, 2, 3, 4, 4]
    last = give_way(loop)
    last.cancel()
    await asyncio.sleep(0)
    await asyncio.wait_for(give_way(loop), 20)


async def test_a_connection_that_ends_while_it_has_given_way_says_so(conversation, monkeypatch):
    monkeypatch.setattr(time_slice, "_SLICE_S", 0.0)
    subject = conversation(ConnectionSettings())
    await subject.feed(b"\x81\x81\0\0\0\0x" * 3)
    await subject.connection.receive()
    assert subject.connection.try_receive() == "x"
    assert subject.connection.try_receive() is None
    receiving = asyncio.create_task(subject.connection.receive())
    await asyncio.sleep(0)
    subject.end()
    assert (await asyncio.wait_for(receiving, 20))["text"] == "x"
    assert (await subject.connection.receive())["text"] == "x"
    assert (await subject.connection.receive())["type"] == "websocket.disconnect"


async def test_a_task_that_is_cancelled_while_its_connection_has_given_way_loses_nothing(conversation, monkeypatch):
    monkeypatch.setattr(time_slice, "_SLICE_S", 0.0)
    subject = conversation(ConnectionSettings())
    await subject.feed(b"".join(b"\x81\x81\0\0\0\0%d" % number for number in range(3)))
    await subject.connection.receive()
    assert subject.connection.try_receive() == "0"
    receiving = asyncio.create_task(subject.connection.receive())
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait([receiving])
    assert [(await subject.connection.receive())["text"] for _ in range(2)] == ["1", "2"]
    subject.end()


async def test_a_message_for_a_task_that_waits_is_taken_by_no_other(conversation):
    subject = conversation(ConnectionSettings())
    waiting = asyncio.create_task(subject.connection.next_message())
    await asyncio.sleep(0)
    assert subject.connection.receiving
    await subject.feed(b"\x81\x81\0\0\0\0x")
    assert subject.connection.try_receive() is None
    assert await asyncio.wait_for(waiting, 20) == "x"
    assert not subject.connection.receiving
    subject.end()
    assert await subject.connection.next_message() is None
