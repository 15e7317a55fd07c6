"""What the extension promises to those who tell many connections the same thing."""

import asyncio
import zlib

import pytest

from falconws.server.websocket import prepared as prepared_module
from falconws.server.websocket.connection import Connection
from falconws.server.websocket.deflate import DeflateSettings, PerMessageDeflate, compress_alone, negotiate
from falconws.server.websocket.settings import ConnectionSettings

SETTINGS = ConnectionSettings(send_timeout_s=None, ping_interval_s=None)


async def iterations(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("message", "head"),
    [
        ("", b"\x81\x00"),
        ("h\u00e9", b"\x81\x03"),
        (b"\x00\xff", b"\x82\x02"),
        (b"x" * 126, b"\x82\x7e\x00\x7e"),
        ("x" * 8192, b"\x81\x7e\x20\x00"),
        ("x" * 8193, b"\x81\x7e\x20\x01"),
        (b"x" * 70_000, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70"),
    ],
)
async def test_a_prepared_message_is_the_same_frame_on_every_connection(conversation, message, head):
    subjects = [conversation(SETTINGS) for _ in range(3)]
    prepared = Connection.prepare(message)
    for subject in subjects:
        assert subject.connection.try_send_prepared(prepared)
        assert subject.connection.try_send_prepared(prepared)
    payload = message.encode() if isinstance(message, str) else message
    for subject in subjects:
        assert bytes(subject.transport.written) == (head + payload) * 2
        subject.end()


async def test_a_buffer_may_change_once_it_is_prepared(conversation):
    subject = conversation(SETTINGS)
    data = bytearray(b"before")
    prepared = subject.connection.prepare(data)
    data[:] = b"after!"
    assert subject.connection.try_send_prepared(prepared)
    assert bytes(subject.transport.written) == b"\x82\x06before"
    subject.end()


async def test_a_message_is_compressed_once_for_all_with_the_same_parameters(conversation, monkeypatch):
    compressions = []

    def counted(payload, parameters):
        compressions.append(parameters)
        return compress_alone(payload, parameters)

    monkeypatch.setattr(prepared_module, "compress_alone", counted)
    offers = ["permessage-deflate"] * 3 + ["permessage-deflate; server_max_window_bits=9"] * 2
    settings = DeflateSettings()
    subjects = [conversation(SETTINGS, PerMessageDeflate(negotiate(offer, settings), settings)) for offer in offers]
    inflaters = [zlib.decompressobj(-15) for _ in subjects]
    # The message between two broadcasts refers to what the connection has sent itself, and to nothing else.
    for number in range(3):
        # The second one of an iteration of the event loop is held back until its end, or the next message.
        for part in "ab":
            prepared = Connection.prepare(f"broadcast {number} {part} " * 40)
            assert Connection.broadcast([subject.connection for subject in subjects], prepared) == []
        for index, subject in enumerate(subjects):
            for text in (f"own {index} " * 40, f"own {index} again " * 40):
                assert subject.connection.try_send_text(text)
    assert len(compressions) == 3 * 2 * 2
    for index, (subject, inflater) in enumerate(zip(subjects, inflaters, strict=True)):
        written = bytes(subject.transport.written)
        told = []
        while written:
            assert written[0] == 0xC1
            start, size = (2, written[1]) if written[1] < 126 else (4, int.from_bytes(written[2:4], "big"))
            told.append((inflater.decompress(written[start : start + size] + b"\0\0\xff\xff")).decode())
            written = written[start + size :]
        assert told == [
            text
            for number in range(3)
            for text in (
                f"broadcast {number} a " * 40,
                f"broadcast {number} b " * 40,
                f"own {index} " * 40,
                f"own {index} again " * 40,
            )
        ]
        subject.end()


@pytest.mark.parametrize("message", ["small", "x" * 9000])
async def test_a_prepared_message_is_refused_while_the_client_is_slow_and_after_the_end(conversation, message):
    subject = conversation(SETTINGS)
    prepared = Connection.prepare(message)
    subject.transport.protocol.pause_writing()
    assert not subject.connection.try_send_prepared(prepared)
    subject.transport.protocol.resume_writing()
    assert subject.connection.try_send_prepared(prepared)
    subject.connection.state.close(1000, "")
    written = bytes(subject.transport.written)
    assert not subject.connection.try_send_prepared(prepared)
    assert bytes(subject.transport.written) == written
    subject.end()


async def test_a_prepared_message_that_would_pass_the_bound_is_refused(conversation):
    subject = conversation(SETTINGS)
    prepared = Connection.prepare(bytes(600_000))
    subject.transport.get_write_buffer_size = lambda: 500_000
    assert not subject.connection.try_send_prepared(prepared)
    assert not subject.transport.written
    subject.end()


async def test_gathered_answers_leave_before_a_prepared_message(conversation):
    subject = conversation(SETTINGS)
    await subject.connection.receive()
    await subject.feed(b"\x81\x81\0\0\0\x001\x81\x81\0\0\0\x002")
    await subject.connection.receive()
    assert subject.connection.try_send_text("first")
    assert subject.connection.try_send_prepared(Connection.prepare("second"))
    await iterations()
    assert bytes(subject.transport.written) == b"\x81\x05first\x81\x06second"
    subject.end()


async def test_a_writable_callback_is_called_once_when_the_client_has_caught_up(conversation):
    subject = conversation(SETTINGS)
    connection, told = subject.connection, []
    subject.transport.protocol.pause_writing()
    connection.add_writable_callback(lambda: told.append(connection.try_send_text("caught up")))
    connection.add_writable_callback(forgotten := lambda: told.append("forgotten"))
    connection.remove_writable_callback(forgotten)
    connection.remove_writable_callback(forgotten)
    await iterations()
    assert told == []
    for _ in range(2):
        subject.transport.protocol.resume_writing()
        await iterations()
        subject.transport.protocol.pause_writing()
    assert told == [True]
    subject.end()


async def test_a_writable_callback_waits_for_the_senders_in_line(conversation):
    subject = conversation(SETTINGS)
    connection = subject.connection
    subject.transport.protocol.pause_writing()
    sender = asyncio.create_task(connection.send({"type": "websocket.send", "text": "1"}))
    await asyncio.sleep(0)
    connection.add_writable_callback(lambda: connection.try_send_text("2"))
    subject.transport.protocol.resume_writing()
    await sender
    await iterations()
    assert bytes(subject.transport.written) == b"\x81\x011\x81\x012"
    subject.end()


async def test_a_writable_callback_on_an_idle_connection_comes_at_the_next_turn(conversation):
    subject = conversation(SETTINGS)
    told = []
    subject.connection.add_writable_callback(lambda: told.append(subject.connection.closed))
    assert told == []
    await iterations(1)
    assert told == [False]
    subject.end()


async def test_a_writable_callback_is_put_off_when_the_client_falls_behind_again(conversation):
    subject = conversation(SETTINGS)
    told = []
    subject.connection.add_writable_callback(lambda: told.append("writable"))
    subject.transport.protocol.pause_writing()
    await iterations()
    assert told == []
    subject.transport.protocol.resume_writing()
    await iterations()
    assert told == ["writable"]
    subject.end()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_writable_callback_is_called_when_the_connection_ends(conversation, when):
    subject = conversation(SETTINGS)
    told = []
    subject.transport.protocol.pause_writing()
    if when == "after":
        subject.end()
    subject.connection.add_writable_callback(lambda: told.append(subject.connection.closed))
    if when == "before":
        subject.end()
    await iterations()
    assert told == [True]


@pytest.mark.parametrize("size", [5, 9000])
async def test_a_broadcast_reaches_all_and_tells_who_has_refused(conversation, size):
    agreement = negotiate("permessage-deflate", DeflateSettings())
    assert agreement is not None
    plain, slow, closing, compressed, broken, last = subjects = [
        conversation(SETTINGS, PerMessageDeflate(agreement, DeflateSettings()) if number == 3 else None)
        for number in range(6)
    ]
    slow.transport.protocol.pause_writing()
    closing.connection.state.close(1000, "")
    written = [len(subject.transport.written) for subject in subjects]

    def fail(data):
        raise RuntimeError("a transport that is out of order")

    broken.transport.write = fail
    broken.connection._ws_transport = None
    prepared = Connection.prepare("x" * size)
    refused = plain.connection.broadcast([subject.connection for subject in subjects], prepared)
    assert refused == [slow.connection, closing.connection]
    for subject, before in zip(subjects, written, strict=True):
        out = bytes(subject.transport.written[before:])
        if subject in (plain, last):
            assert out == prepared.frame
        elif subject is compressed:
            assert out.startswith(b"\xc1" if size > 1000 else b"\x81")
        else:
            assert out == b""
    assert broken.transport.closing
    for subject in subjects:
        subject.end()


async def test_a_corked_connection_writes_once_when_the_turn_ends(conversation):
    subject = conversation(SETTINGS)
    writes = []
    subject.transport.write = writes.append
    subject.connection.cork()
    prepared = [Connection.prepare(str(number)) for number in range(100)]
    await iterations()
    # Prepared in an earlier iteration of the event loop, as messages in a backlog are.
    subject.connection.cork()
    for message in prepared:
        assert subject.connection.try_send_prepared(message)
    assert len(writes) == 1
    await iterations()
    assert len(writes) == 2
    assert b"".join(writes) == b"".join(message.frame for message in prepared)
    subject.connection.state.close(1000, "")
    subject.connection.cork()
    subject.end()


async def test_what_is_sent_otherwise_on_a_corked_connection_keeps_the_order(conversation):
    subject = conversation(SETTINGS)
    small, large = Connection.prepare("small"), Connection.prepare("x" * 2000)
    await iterations()
    subject.connection.cork()
    assert subject.connection.try_send_prepared(small)
    assert subject.connection.try_send_prepared(large)
    assert subject.connection.try_send_prepared(small)
    assert subject.connection.try_send_text("text")
    await iterations()
    assert bytes(subject.transport.written) == small.frame + large.frame + small.frame + b"\x81\x04text"
    subject.end()
