"""Messages both ways: payload types, media, sizes, contents."""

from __future__ import annotations

import json

import msgpack
import pytest

from .client import Peer, early_message, handshake

TEXTS = ["x", "ü€😀\U0010ffff", "nul \x00 inside", "\ufeffBOM", "line\r\nbreak", " " * 3]


@pytest.mark.promise("text-and-data")
async def test_text_arrives_as_it_was_sent(peer: Peer) -> None:
    connection = await peer.connect("echo")
    for text in TEXTS:
        await connection.send(text)
        assert await peer.receive(connection) == text


@pytest.mark.promise("text-and-data")
async def test_data_arrives_as_it_was_sent(peer: Peer) -> None:
    connection = await peer.connect("echo-data")
    for data in (b"x", b"\x00\xff", bytes(range(256))):
        await connection.send(data)
        assert await peer.receive(connection) == data
    assert (await peer.saw("received", size=256))["type"] == "bytes"


@pytest.mark.promise("text-and-data")
@pytest.mark.parametrize("compression", ["deflate", None])
async def test_fragments_arrive_as_one_message(peer: Peer, compression: str | None) -> None:
    connection = await peer.connect("echo", compression=compression)
    await connection.send(["ein ", "Stück ", "nach ", "dem andern"])
    assert await peer.receive(connection) == "ein Stück nach dem andern"


@pytest.mark.promise("empty-messages")
async def test_empty_messages_arrive(peer: Peer) -> None:
    connection = await peer.connect("echo")
    await connection.send("")
    assert await peer.receive(connection) == ""
    connection = await peer.connect("echo-data")
    await connection.send(b"")
    assert await peer.receive(connection) == b""


@pytest.mark.promise("large-messages")
@pytest.mark.parametrize("size", [65_536, 1_048_576])
async def test_large_messages_arrive_intact(peer: Peer, size: int) -> None:
    # A size in bytes: 1 MiB is the smallest limit that any of the servers sets by default.
    text = "0123456789abcdefü" * (size // 18)
    connection = await peer.connect("echo")
    await connection.send(text)
    assert await peer.receive(connection) == text
    data = bytes(range(256)) * (size // 256)
    connection = await peer.connect("echo-data")
    await connection.send(data)
    assert await peer.receive(connection) == data


@pytest.mark.promise("ping")
async def test_a_ping_is_answered_while_the_responder_waits(peer: Peer) -> None:
    connection = await peer.connect("wait-only")
    latency = await (await connection.ping())
    assert latency >= 0


@pytest.mark.promise("send-data-types")
async def test_bytes_bytearray_and_memoryview_are_sent_as_they_were(peer: Peer) -> None:
    connection = await peer.connect("send-kinds")
    received = [await peer.receive(connection) for _ in range(4)]
    assert received == [b"bytes", b"bytearray", b"memoryview", "done"]
    assert [note["kinds"][0] for note in peer.all("refused")] == []
    await peer.left()
    assert [note["kinds"][0] for note in peer.all("refused")] == ["TypeError", "TypeError"]


@pytest.mark.promise("media")
async def test_media_is_sent_as_json_text_or_messagepack_data(peer: Peer) -> None:
    connection = await peer.connect("send-media")
    text = await peer.receive(connection)
    assert isinstance(text, str)
    assert json.loads(text) == {"event": "message", "ü": [1, None, 2.5]}
    data = await peer.receive(connection)
    assert isinstance(data, bytes)
    assert msgpack.unpackb(data) == {"event": "message", "raw": b"\x00\xff"}
    assert await peer.receive(connection) == '"NaN is not JSON"'


@pytest.mark.promise("media")
async def test_media_is_received_by_payload_type(peer: Peer) -> None:
    connection = await peer.connect("echo-media", "binary=true")
    await connection.send('{"from": "JSON"}')
    assert msgpack.unpackb(await peer.receive(connection)) == {"from": "JSON"}
    await connection.send(msgpack.packb(["from", "MessagePack"]))
    assert msgpack.unpackb(await peer.receive(connection)) == ["from", "MessagePack"]


@pytest.mark.promise("media-handlers")
async def test_custom_handlers_replace_the_default_ones(peer: Peer) -> None:
    connection = await peer.connect("custom-media")
    assert [await peer.receive(connection) for _ in range(4)] == ["LOUD", b"payload", b"payload", b"payload"]
    await connection.send("SILENT")
    await connection.send(b"data")
    assert (await peer.saw("received"))["media"] == ["silent", "bytes:data"]


@pytest.mark.promise("payload-type-error")
@pytest.mark.parametrize(("what", "wrong", "right"), [("text", b"data", "text"), ("data", "text", b"data")])
async def test_the_wrong_payload_type_is_a_type_error_and_the_conversation_goes_on(
    peer: Peer, what: str, wrong: str | bytes, right: str | bytes
) -> None:
    connection = await peer.connect("recover", f"what={what}")
    for message, answer in ((wrong, "type"), (right, "fine"), (wrong, "type"), (right, "fine")):
        await connection.send(message)
        assert await peer.receive(connection) == answer
    assert "PayloadTypeError" in (await peer.saw("failed"))["kinds"]


@pytest.mark.promise("undecodable-media")
@pytest.mark.parametrize(
    ("message", "answer"),
    [("{", "json"), ("", "json"), ("NaN", "json"), ("[" * 100_000, "json"), (b"\xc1", "value"), (b"\x92\x01", "value")],
    ids=["truncated", "empty", "nan", "deep", "no-msgpack", "half-msgpack"],
)
async def test_an_undecodable_payload_is_a_value_error_and_the_conversation_goes_on(
    peer: Peer, message: str | bytes, answer: str
) -> None:
    connection = await peer.connect("recover", "what=media")
    await connection.send(message)
    assert await peer.receive(connection) == answer
    await connection.send("[1]")
    assert await peer.receive(connection) == "fine"


@pytest.mark.promise("early-messages")
async def test_a_message_that_comes_before_the_accept_arrives(peer: Peer) -> None:
    reader, writer = await peer.raw(handshake(f"/accept-late-and-echo/{peer.run}"))
    await peer.saw("waiting")
    writer.write(early_message("hello"))
    await peer.open_gate("accept")
    assert await peer.early_answer(reader, writer) == b"hello"
