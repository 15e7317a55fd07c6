"""Messages that are prepared in one iteration of the event loop leave together, in order, and wait for nothing else."""

import asyncio
import random
import zlib

import pytest

from falconws.server.websocket.connection import Connection
from falconws.server.websocket.deflate import DeflateSettings, PerMessageDeflate, negotiate
from falconws.server.websocket.settings import ConnectionSettings

SETTINGS = ConnectionSettings(send_timeout_s=None, ping_interval_s=None)


def frame(text: str) -> bytes:
    return b"\x81" + bytes([len(text)]) + text.encode()


def send(subjects, *texts):
    for text in texts:
        prepared = Connection.prepare(text)
        for subject in subjects:
            assert subject.connection.try_send_prepared(prepared)


async def pause():
    """Let so many iterations of the event loop pass that nobody goes on with what was begun."""
    for _ in range(4):
        await asyncio.sleep(0)


def writes_of(subject):
    """Return the list that every write of the transport is added to from now on."""
    writes, write = [], subject.transport.write

    def note(data):
        writes.append(bytes(data))
        write(data)

    subject.transport.write = note
    return writes


async def test_a_message_that_comes_alone_leaves_at_once(conversation):
    subject = conversation(SETTINGS)
    for number in range(4):
        subject.transport.written.clear()
        send([subject], str(number))
        assert bytes(subject.transport.written) == frame(str(number))
        await asyncio.sleep(0)
    subject.end()


async def test_messages_of_one_turn_leave_in_one_write_when_it_ends(conversation):
    subjects = [conversation(SETTINGS) for _ in range(3)]
    send(subjects, "alone", "a", "b", "c")
    await asyncio.sleep(0)
    writes = [writes_of(subject) for subject in subjects]
    # Several came in the last iteration: now the first one waits too.
    send(subjects, "1", "2", "3")
    assert writes == [[], [], []]
    await asyncio.sleep(0)
    assert writes == [[frame("1") + frame("2") + frame("3")]] * 3
    for subject in subjects:
        assert bytes(subject.transport.written) == b"".join(map(frame, ("alone", "a", "b", "c", "1", "2", "3")))
        subject.end()


async def test_after_a_few_turns_with_one_message_each_it_leaves_at_once_again(conversation):
    subject = conversation(SETTINGS)
    send([subject], "a", "b")
    left_at_once = []
    for _ in range(6):
        await pause()
        subject.transport.written.clear()
        send([subject], "x")
        left_at_once.append(bool(subject.transport.written))
    assert left_at_once == [False] * 4 + [True] * 2
    subject.end()


async def test_messages_that_come_one_by_one_without_a_pause_leave_together(conversation):
    """As from a publisher that gives way after each."""
    subject = conversation(SETTINGS)
    send([subject], "a", "b")
    await asyncio.sleep(0)
    writes = writes_of(subject)
    for number in range(5):
        send([subject], str(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert writes == []
    await pause()
    assert writes == [b"".join(frame(str(number)) for number in range(5))]
    for _ in range(70):
        send([subject], "x")
        await asyncio.sleep(0)
    # Not without end.
    assert writes[1:] == [frame("x") * 64]
    subject.end()


async def test_now_and_then_a_single_message_waits_for_another_one(conversation):
    """A publisher that is given the time for one message, because sending it takes long, sends two when it is not."""
    subject = conversation(SETTINGS)
    slow_iterations = 0
    for _ in range(200):
        subject.transport.written.clear()
        send([subject], "1")
        slow_iterations += bool(subject.transport.written)
        if not subject.transport.written:
            send([subject], "2")
        await asyncio.sleep(0)
    # Once it has sent two, they wait for each other in every iteration.
    assert slow_iterations < 40
    subject.end()


async def test_a_connection_gets_its_own_messages_though_others_got_more(conversation):
    first, second, third = subjects = [conversation(SETTINGS) for _ in range(3)]
    send(subjects, "all")
    send([first], "one")
    send([second], "two")
    send([first, third], "three")
    await asyncio.sleep(0)
    assert bytes(first.transport.written) == frame("all") + frame("one") + frame("three")
    assert bytes(second.transport.written) == frame("all") + frame("two")
    assert bytes(third.transport.written) == frame("all") + frame("three")
    for subject in subjects:
        subject.end()


@pytest.mark.parametrize("way", ["text", "send", "large", "close", "not gathered"])
async def test_what_is_sent_afterwards_leaves_afterwards(conversation, way):
    subject = conversation(SETTINGS)
    connection = subject.connection
    send([subject], "1", "2", "3")
    before = frame("1") + frame("2") + frame("3")
    if way == "text":
        assert connection.try_send_text("4")
        after = frame("4")
    elif way == "send":
        await connection.send({"type": "websocket.send", "text": "4"})
        after = frame("4")
    elif way == "large":
        assert connection.try_send_bytes(b"x" * 10_000)
        after = b"\x82\x7e\x27\x10" + b"x" * 10_000
    elif way == "close":
        connection.state.close(1000, "")
        after = b"\x88\x02\x03\xe8"
    else:
        send([subject], "x" * 2000)
        after = b"\x81\x7e\x07\xd0" + b"x" * 2000
    await asyncio.sleep(0)
    assert bytes(subject.transport.written) == before + after
    subject.end()


async def test_a_message_of_an_earlier_turn_leaves_at_once(conversation):
    subject = conversation(SETTINGS)
    messages = [Connection.prepare(text) for text in ("1", "2")]
    await asyncio.sleep(0)
    assert all(subject.connection.try_send_prepared(message) for message in messages)
    assert bytes(subject.transport.written) == frame("1") + frame("2")
    subject.end()


async def test_no_more_is_gathered_than_a_slow_client_may_cost(conversation):
    subject = conversation(SETTINGS)
    Connection.prepare("first")
    prepared = Connection.prepare("x" * 1000)
    for _ in range(200):
        assert subject.connection.try_send_prepared(prepared)
    # Three times 64 have left, without waiting for the end of the iteration.
    assert len(subject.transport.written) == 3 * 64 * len(prepared.frame)
    await asyncio.sleep(0)
    assert len(subject.transport.written) == 200 * len(prepared.frame)
    subject.end()


async def test_a_connection_that_has_ended_meanwhile_harms_nobody(conversation, caplog):
    ended, broken, well = subjects = [conversation(SETTINGS) for _ in range(3)]
    send(subjects, "1", "2")

    def fail(data):
        raise OSError("gone")

    broken.transport.write = fail
    ended.transport.abort()
    await asyncio.sleep(0)
    assert bytes(ended.transport.written) == frame("1")
    assert bytes(well.transport.written) == frame("1") + frame("2")
    assert "writing coalesced messages to it failed" in caplog.text
    # What it was told to have sent is lost, so it must not go on.
    assert broken.transport.closing
    for subject in subjects:
        subject.end()


async def test_compressed_messages_of_one_turn_leave_in_one_write_too(conversation):
    agreement = negotiate("permessage-deflate", DeflateSettings())
    assert agreement is not None
    subject = conversation(SETTINGS, PerMessageDeflate(agreement, DeflateSettings()))
    texts = [f"price {number} " * 20 for number in range(3)]
    send([subject], "first", *texts, "small")
    writes = writes_of(subject)
    await pause()
    (write,) = writes
    inflater, told = zlib.decompressobj(-15), []
    while write:
        first_byte, size = write[:2]
        payload, write = write[2 : 2 + size], write[2 + size :]
        told.append(payload if first_byte == 0x81 else inflater.decompress(payload + b"\0\0\xff\xff"))
    assert told == [text.encode() for text in (*texts, "small")]
    subject.end()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_sent_and_whenever_iterations_end_every_connection_keeps_its_order(conversation, seed):
    chance = random.Random(seed)
    subjects = [conversation(SETTINGS) for _ in range(3)]
    expected = [b"" for _ in subjects]
    for number in range(150):
        text = str(number)
        match chance.choice(["prepared", "prepared", "prepared", "text", "iteration"]):
            case "prepared":
                chosen = chance.sample(range(3), chance.randint(1, 3))
                send([subjects[index] for index in chosen], text)
                for index in chosen:
                    expected[index] += frame(text)
            case "text":
                index = chance.randrange(3)
                assert subjects[index].connection.try_send_text(text)
                expected[index] += frame(text)
            case "iteration":
                await asyncio.sleep(0)
    await pause()
    assert [bytes(subject.transport.written) for subject in subjects] == expected
    for subject in subjects:
        subject.end()
