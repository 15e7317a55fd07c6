"""What a connection makes of bytes, however they are cut, and without a network."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconws.server.errors import DisconnectedError
from falconws.server.websocket.picows_adapter import feed
from falconws.server.websocket.settings import ConnectionSettings

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=b"\x01\x02\x03\x04"):
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@st.composite
def messages(draw):
    """One message in one or more frames, with control frames between, and what the application is told."""
    text = draw(st.booleans())
    content = draw(st.text(max_size=150)) if text else draw(st.binary(max_size=300))
    data = content.encode() if text else content
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=3))
    borders = [0, *sorted(cuts), len(data)]
    wire = b""
    for number, (start, stop) in enumerate(itertools.pairwise(borders)):
        opcode = 0 if number else (TEXT if text else BINARY)
        wire += frame(opcode, data[start:stop], fin=number == len(borders) - 2)
        if draw(st.booleans()):
            wire += frame(draw(st.sampled_from([PING, PONG])), b"control")
    return wire, ("websocket.receive", content)


ENDS = st.sampled_from(
    [
        (b"", None),
        (frame(CLOSE, b"\x03\xe8bye"), (1000, "bye")),
        (frame(CLOSE), (1005, "")),
        (frame(CLOSE, b"\x0f\xa0"), (4000, "")),
        (frame(3), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(0, b"x"), 1002),
        (frame(TEXT, rsv=4), 1002),
        (frame(PING, rsv=1), 1002),
        (frame(PING, fin=False), 1002),
        (frame(CLOSE, b"\x03\xee"), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(BINARY, bytes(2001)), 1009),
        (frame(BINARY, bytes(1500), fin=False) + frame(0, bytes(501)), 1009),
    ]
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    conversation_parts=st.lists(messages(), max_size=5),
    end=ENDS,
    sizes=st.lists(st.integers(1, 400), max_size=30),
)
def test_however_the_bytes_are_cut_the_events_are_the_same(conversation, conversation_parts, end, sizes):
    async def told(pieces):
        subject = conversation(ConnectionSettings(max_message_bytes=2000))
        for piece in pieces:
            await subject.feed(piece)
        events = await subject.events()
        subject.end()
        return events

    async def check():
        wire = b"".join(part[0] for part in conversation_parts) + end[0]
        expected = [("websocket.connect",), *(part[1] for part in conversation_parts)]
        whole = await told([wire])
        assert whole[: len(expected)] == expected
        if end[1] is None:
            assert len(whole) == len(expected)
        elif isinstance(end[1], tuple):
            assert whole[-1] == ("websocket.disconnect", *end[1])
        else:
            assert whole[-1][1] == end[1]
        assert await told([wire[i : i + 1] for i in range(len(wire))]) == whole
        pieces, position = [], 0
        for size in sizes:
            pieces.append(wire[position : position + size])
            position += size
        assert await told([*pieces, wire[position:]]) == whole

    asyncio.run(check())


@pytest.fixture
def endless_slice(monkeypatch):
    """On a busy machine, the time slice of a connection could end between two messages."""
    monkeypatch.setattr("falconws.server.websocket.time_slice._SLICE_S", 60.0)
    monkeypatch.setattr("falconws.server.websocket.time_slice._CONTENDED_SLICE_S", 60.0)


async def test_small_answers_to_messages_that_came_together_are_one_write(conversation, endless_slice):
    subject = conversation(ConnectionSettings())
    await subject.feed(b"".join(frame(TEXT, str(number).encode()) for number in range(10)))
    connection, transport = subject.connection, subject.transport
    await connection.receive()
    for number in range(10):
        assert (await connection.receive())["text"] == str(number)
        assert not transport.written
        await connection.send({"type": "websocket.send", "text": str(number)})
    assert bytes(transport.written) == b"".join(b"\x81\x01%d" % number for number in range(10))
    subject.end()


async def test_gathered_answers_leave_when_the_loop_turns(conversation):
    subject = conversation(ConnectionSettings())
    await subject.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
    await subject.connection.receive()
    await subject.connection.receive()
    await subject.connection.send({"type": "websocket.send", "bytes": b"one"})
    await asyncio.sleep(0)
    assert bytes(subject.transport.written) == b"\x82\x03one"
    subject.end()


async def test_gathered_answers_leave_before_the_close_frame_and_large_messages(conversation):
    subject = conversation(ConnectionSettings())
    await subject.feed(frame(TEXT, b"1") + frame(TEXT, b"2") + frame(TEXT, b"3"))
    await subject.connection.receive()
    await subject.connection.receive()
    send = subject.connection.send
    await send({"type": "websocket.send", "text": "small"})
    await send({"type": "websocket.send", "text": "x" * 3000})
    await send({"type": "websocket.send", "text": "small"})
    await send({"type": "websocket.close", "code": 1000})
    assert bytes(subject.transport.written) == (
        b"\x81\x05small\x81\x7e\x0b\xb8" + b"x" * 3000 + b"\x81\x05small\x88\x02\x03\xe8"
    )
    subject.end()


async def test_reading_pauses_at_the_bound_and_resumes(conversation):
    subject = conversation(ConnectionSettings(max_queued_messages=4))
    await subject.feed(frame(TEXT, b"x") * 4)
    assert not subject.transport.reading
    for _ in range(3):
        await subject.connection.receive()
    assert subject.transport.reading
    subject.end()


async def test_the_extension_tells_the_end_before_messages_are_received(conversation):
    subject = conversation(ConnectionSettings())
    connection = subject.connection
    told = []
    connection.add_disconnect_callback(lambda: told.append((connection.closed, connection.close_code)))
    connection.add_disconnect_callback(forgotten := lambda: told.append("forgotten"))
    connection.remove_disconnect_callback(forgotten)
    assert (connection.closed, connection.close_code, connection.close_reason) == (False, None, None)
    await subject.feed(frame(TEXT, b"last words") + frame(CLOSE, b"\x03\xe9away"))
    assert told == [(True, 1001)]
    assert connection.close_reason == "away"
    assert connection.try_receive() == "last words"
    assert connection.try_receive() is None
    assert not connection.try_send_text("late")
    with pytest.raises(DisconnectedError):
        await connection.send({"type": "websocket.send", "text": "late"})
    connection.add_disconnect_callback(lambda: told.append("at once"))
    assert told[-1] == "at once"
    subject.end()


@pytest.mark.parametrize("first", [b"", b"\x03\xe8"])
@pytest.mark.parametrize("second", [frame(CLOSE, b"\x03\xe9"), frame(3), frame(TEXT, b"x"), b"\x81\x00"])
async def test_what_follows_a_close_frame_is_ignored(conversation, first, second):
    subject = conversation(ConnectionSettings())
    await subject.feed(frame(CLOSE, first) + second)
    await subject.feed(second)
    code = int.from_bytes(first, "big") or 1005
    assert await subject.events() == [("websocket.connect",), ("websocket.disconnect", code, "")]
    assert bytes(subject.transport.written) == b"\x88" + bytes((len(first),)) + first
    subject.end()


async def test_two_receivers_share_the_messages(conversation):
    subject = conversation(ConnectionSettings())
    await subject.connection.receive()
    receivers = [asyncio.create_task(subject.connection.receive()) for _ in range(3)]
    await asyncio.sleep(0)
    await subject.feed(frame(TEXT, b"1") + frame(TEXT, b"2") + frame(TEXT, b"3"))
    events = await asyncio.wait_for(asyncio.gather(*receivers), 20)
    assert sorted(event["text"] for event in events) == ["1", "2", "3"]
    subject.end()


async def test_a_cancelled_receiver_loses_no_message(conversation):
    subject = conversation(ConnectionSettings())
    await subject.connection.receive()
    receiver = asyncio.create_task(subject.connection.receive())
    await asyncio.sleep(0)
    feed(subject.transport.protocol, frame(TEXT, b"kept"))
    receiver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiver
    assert (await subject.connection.receive())["text"] == "kept"
    subject.end()


async def test_only_the_last_of_many_unanswered_pings_is_answered(conversation):
    subject = conversation(ConnectionSettings(send_timeout_s=None))
    subject.transport.protocol.pause_writing()
    await subject.feed(b"".join(frame(PING, str(number).encode()) for number in range(100)))
    assert not subject.transport.written
    subject.transport.protocol.resume_writing()
    assert bytes(subject.transport.written) == b"\x8a\x0299"
    subject.end()


async def test_senders_wait_in_line_and_newcomers_behind_them(conversation):
    subject = conversation(ConnectionSettings(send_timeout_s=None))
    connection = subject.connection
    subject.transport.protocol.pause_writing()
    senders = [
        asyncio.create_task(connection.send({"type": "websocket.send", "text": str(number)})) for number in range(3)
    ]
    await asyncio.sleep(0)
    subject.transport.protocol.resume_writing()
    assert not connection.try_send_text("pushy")
    await asyncio.gather(*senders)
    assert connection.try_send_text("in turn")
    await asyncio.sleep(0)
    assert bytes(subject.transport.written) == b"\x81\x010\x81\x011\x81\x012\x81\x07in turn"
    subject.end()


async def test_a_message_behind_one_that_is_larger_than_the_bound_waits_for_its_turn(conversation):
    settings = ConnectionSettings(send_timeout_s=None)
    subject = conversation(settings)
    connection = subject.connection
    subject.transport.protocol.pause_writing()
    large = asyncio.create_task(
        connection.send({"type": "websocket.send", "bytes": bytes(2 * settings.max_buffered_bytes)})
    )
    await asyncio.sleep(0)
    small = asyncio.create_task(connection.send({"type": "websocket.send", "text": "small"}))
    await asyncio.sleep(0)
    assert not connection.closed
    subject.transport.protocol.resume_writing()
    await asyncio.gather(large, small)
    assert bytes(subject.transport.written).endswith(b"\x81\x05small")
    subject.end()


async def test_a_line_that_grows_too_long_closes_with_1013(conversation):
    settings = ConnectionSettings(send_timeout_s=None)
    subject = conversation(settings)
    connection = subject.connection
    subject.transport.protocol.pause_writing()
    half = bytes(settings.max_buffered_bytes // 2)
    senders = [asyncio.create_task(connection.send({"type": "websocket.send", "bytes": half})) for _ in range(4)]
    results = await asyncio.gather(*senders, return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results)
    assert connection.close_code == 1013
    subject.end()


async def test_a_large_message_cut_off_closes_with_1011(conversation):
    subject = conversation(ConnectionSettings(send_timeout_s=None))
    connection, transport = subject.connection, subject.transport
    write = transport.writelines

    def write_and_fill(pieces):
        write(pieces)
        transport.protocol.pause_writing()

    transport.writelines = write_and_fill
    sender = asyncio.create_task(connection.send({"type": "websocket.send", "bytes": bytes(3_000_000)}))
    await asyncio.sleep(0)
    assert transport.written[0] == 0x02
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    assert transport.written.endswith(b"\x88\x11\x03\xf3message cut off")
    subject.end()


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 5000])
async def test_a_close_code_that_may_not_be_sent_is_an_error_of_the_application(conversation, code):
    subject = conversation(ConnectionSettings())
    with pytest.raises((ValueError, RuntimeError)):
        await subject.connection.send({"type": "websocket.close", "code": code})
    subject.end()


def large_frame(opcode, payload):
    return bytes((0x80 | opcode, 0xFF)) + len(payload).to_bytes(8, "big") + bytes(4) + payload


@pytest.mark.parametrize(
    ("message", "paused"),
    [
        ("x" * 300_000, False),
        ("x" * 299_999 + "\N{GRINNING FACE}", True),
        (b"\xf0" * 300_000, False),
    ],
)
async def test_what_waits_for_the_application_is_counted_as_it_is_in_memory(conversation, message, paused):
    opcode = TEXT if isinstance(message, str) else BINARY
    data = message.encode() if isinstance(message, str) else message
    for fragmented in (False, True):
        subject = conversation(ConnectionSettings(max_queued_bytes=900_000))
        if fragmented:
            whole = bytearray(large_frame(opcode, data))
            whole[0] &= 0x7F
            data_frames = bytes(whole) + frame(0)
        else:
            data_frames = large_frame(opcode, data)
        await subject.feed(data_frames)
        assert subject.transport.reading != paused
        await subject.connection.receive()
        assert (await subject.connection.receive()).popitem()[1] == message
        assert subject.transport.reading
        subject.end()


async def test_empty_messages_count(conversation):
    subject = conversation(ConnectionSettings(max_queued_bytes=6400))
    await subject.feed(frame(TEXT) * 99)
    assert subject.transport.reading
    await subject.feed(frame(TEXT))
    assert not subject.transport.reading
    subject.end()


@pytest.mark.parametrize(("size", "writes"), [(1024, 1), (4096, 1), (8192, 2), (16_384, 4), (16_385, 16)])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_answers_of_up_to_16_kb_are_written_together_and_64_kb_at_a_time(
    conversation, endless_slice, opcode, size, writes
):
    subject = conversation(ConnectionSettings(max_queued_bytes=10_000_000))
    await subject.connection.receive()
    await subject.feed(frame(TEXT, b"x") * 16)
    written = []
    subject.transport.write = written.append
    subject.transport.writelines = lambda pieces: written.append(b"".join(pieces))
    answer = "x" * size if opcode == TEXT else b"x" * size
    for _ in range(16):
        await subject.connection.receive()
        await subject.connection.send({"type": "websocket.send", "text" if opcode == TEXT else "bytes": answer})
    await asyncio.sleep(0)
    assert len(written) == writes
    one = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + b"x" * size
    assert b"".join(written) == one * 16
    subject.end()
