"""What others write to the hub's subjects on NATS: it is delivered as what it can be, and stops no room."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from falconws.hub import Position
from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import Nats

FOREIGN: list[tuple[bytes, bytes, str | bytes, str | None]] = [
    # headers, payload; payload and key of what comes
    (b"", b"\xff\xfe not UTF-8", b"\xff\xfe not UTF-8", None),
    (b"Falconws-Type: binary\r\n", b"bytes", b"bytes", None),
    (b"Falconws-Type: image/png\r\n", b"\x89PNG", b"\x89PNG", None),
    (b"Falconws-Type:\r\n", b"text", "text", None),
    (b"Falconws-Key: plain\r\n", b"key without the mark", "key without the mark", "plain"),
    (b"Falconws-Key:\r\n", b"empty key", "empty key", ""),
    (b"Falconws-Key: =%FF%zz\r\n", b"odd key", "odd key", "\ufffd%zz"),
    (b"Falconws-Key: \xff\r\n", b"key not UTF-8", "key not UTF-8", "\ufffd"),
    (b"\xff\xff: x\r\nno colon\r\n\r\n: \r\n", b"no headers", "no headers", None),
    (b"Nats-Sequence: 7\r\nNats-Last-Sequence: x\r\nNats-Time-Stamp: y\r\nNats-Subject: z\r\n", b"1", "1", None),
    (b"Status: 404\r\nDescription: none\r\n", b"no status", "no status", None),
    (b"Falconws-Event: left joined\r\n", b"no event", "no event", None),
]


@pytest.mark.parametrize(("headers", "data", "payload", "key"), FOREIGN)
async def test_what_others_publish_is_delivered_as_what_it_can_be(
    headers: bytes, data: bytes, payload: str | bytes, key: str | None, nats: Nats
) -> None:
    room = base64.b32encode(headers + data).decode().rstrip("=").lower()
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        await hub.publish(room, "before")
        await asyncio.to_thread(nats.say, f"falconws.room.{room}", data, headers=headers)
        await hub.publish(room, "after")
        await follower.until(lambda: len(follower.events) == 3, "three messages come")
        assert follower.payloads == ["before", payload, "after"]
        assert follower.events[1].key == key
        # The same again for one who comes back.
        async with hub.listen(room, since=follower.events[0].position) as listener:
            messages = aiter(listener)
            missed = [await anext(messages) for _ in range(2)]
        assert [(event.payload, event.key) for event in missed] == [(payload, key), ("after", None)]


async def test_others_percent_encode_the_name_of_a_room(nats: Nats) -> None:
    room = "Caf\u00e9: 1.0-~_*>"
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        await asyncio.to_thread(nats.say, "falconws.room.Caf%C3%A9%3A%201%2E0-~_%2A%3E", b"from elsewhere")
        await follower.until(lambda: follower.payloads == ["from elsewhere"], "it comes")


async def test_what_others_send_to_those_who_follow_stops_no_room(nats: Nats) -> None:
    """Past the stream, so it was never published."""
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, "spoofed") as follower:
        epoch = (await hub.publish("spoofed", "before")).epoch
        for subject in (f"falconws.live.{epoch}.spoofed.m", "falconws.live.other.spoofed.m"):
            for headers in (b"", b"Nats-Sequence: x\r\n", b"Nats-Sequence: \xd9\xa1\r\nNats-Last-Sequence: 1\r\n"):
                await asyncio.to_thread(nats.say, subject, b"spoofed", headers=headers)
        await hub.publish("spoofed", "after")
        await follower.until(lambda: follower.payloads[-1:] == ["after"], "the next message comes")
        assert follower.payloads == ["before", "after"]
        assert follower.gaps == []


async def test_a_stream_that_does_not_say_what_was_before_stops_no_room(nats: Nats) -> None:
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, "beginning") as follower:
        position = await hub.publish("beginning", "before")
        subject = f"falconws.live.{position.epoch}.beginning.m"
        later = Position(position.epoch, position.offset + 1000)
        await asyncio.to_thread(nats.say, subject, b"odd", headers=f"Nats-Sequence: {later.offset}\r\n".encode())
        await follower.until(lambda: len(follower.events) == 2, "it comes")
        await hub.publish("beginning", "after")
        await follower.until(lambda: follower.payloads[-1:] == ["after"], "the next message comes")
        assert follower.events[1].position == later


@pytest.mark.parametrize(
    "record",
    [
        b"no JSON",
        b"[]",
        b'{"devices": []}',
        json.dumps({"devices": {"d": "soon"}}).encode(),
        json.dumps({"devices": {"d": ["process", "*"]}}).encode(),
        json.dumps({"devices": {"d": ["process", "bnVsbA=="]}}).encode(),
    ],
)
async def test_a_record_of_presence_that_is_none_is_nobody(record: bytes, nats: Nats) -> None:
    room = base64.b32encode(record).decode().rstrip("=").lower()
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        told = b"Falconws-Event: left\r\n"
        await asyncio.to_thread(nats.say, f"falconws.who.{room}.ada", record, headers=told)
        assert await hub.present(room) == {}
        await hub.publish(room, "after")
        await follower.until(lambda: bool(follower.events), "a message comes")
        assert follower.payloads == ["after"]
