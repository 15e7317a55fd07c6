"""What others write to the hub's keys and channels on Redis: it is delivered as what it can be, and stops no room."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from falconws.hub import Entry, Hub, Member, Position
from falconws.hub.brokers.redis.broker import RedisBroker
from tests.e2e.hub.recorder import WAIT_S, Follower, following, make_hub
from tests.e2e.hub.servers import Valkey

CHANNEL = "falconws:{%s}"
LOG = "falconws:{%s}:log"
META = "falconws:{%s}:meta"


async def missed(hub: Hub, room: str, since: Position, count: int) -> Follower:
    """Return a follower that was told the first *count* events after *since*."""
    follower = Follower()
    async with asyncio.timeout(20), hub.listen(room, since=since) as listener:
        messages = aiter(listener)
        for _ in range(count):
            follower.take(await anext(messages))
    return follower


@pytest.mark.parametrize(
    "fields",
    [
        ["foreign", "1"],
        ["n", "x", "p", "0", "t", "t"],
        ["n", "x", "p", "before", "t", "t", "d", "text"],
        ["n", "x", "p", "0", "t", "other", "d", "text"],
    ],
    ids=["other fields", "no payload", "no number", "other kind"],
)
@pytest.mark.parametrize("place", ["*", "first", "ahead"])
async def test_an_entry_that_is_no_message_is_skipped(
    fields: list[str], place: str, valkey: Valkey, request: pytest.FixtureRequest
) -> None:
    room = request.node.name
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub:
        before = await hub.publish(room, "before")
        own = {"*": "*", "first": f"{before.offset + 1}-0", "ahead": f"{before.offset}-7"}[place]
        answer = await asyncio.to_thread(valkey.say, "XADD", LOG % room, own, *fields)
        assert answer.startswith("$"), answer
        for payload in ("after 1", "after 2"):
            await hub.publish(room, payload)
        follower = await missed(hub, room, before, 2)
        assert follower.payloads == ["after 1", "after 2"]


async def test_a_room_recovers_over_an_entry_that_is_no_message(valkey: Valkey) -> None:
    room = "foreign-recovers"
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        await hub.publish(room, "before")
        await follower.until(lambda: follower.payloads == ["before"], "a message comes")
        await asyncio.to_thread(valkey.say, "XADD", LOG % room, "*", "foreign", "1")
        await asyncio.to_thread(valkey.say, "CLIENT", "KILL", "TYPE", "pubsub")
        for payload in ("after 1", "after 2"):
            await hub.publish(room, payload)
        await follower.until(lambda: len(follower.events) == 3, "messages come again")
        assert follower.payloads == ["before", "after 1", "after 2"]


async def test_publishing_goes_on_behind_an_entry_from_the_future(valkey: Valkey) -> None:
    room = "foreign-future"
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub:
        before = await hub.publish(room, "before")
        future = int(time.time() + 86_400) * 1_000_000
        answer = await asyncio.to_thread(valkey.say, "XADD", LOG % room, f"{future}-0", "foreign", "1")
        assert answer.startswith("$")
        after = [await hub.publish(room, f"after {number}") for number in range(2)]
        # What was there before has gone with it.
        follower = await missed(hub, room, before, 2)
        assert follower.payloads == ["after 0", "after 1"]
        assert [event.position for event in follower.events] == after


async def test_publishing_goes_on_where_the_log_is_something_else(valkey: Valkey) -> None:
    room = "foreign-type"
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub:
        before = await hub.publish(room, "before")
        assert await asyncio.to_thread(valkey.say, "SET", LOG % room, "something else") == "+OK\r\n"
        await hub.publish(room, "after")
        assert (await missed(hub, room, before, 1)).payloads == ["after"]


@pytest.mark.parametrize("command", [["HDEL", "o"], ["HSET", "o", "many"], ["HSET", "e", "two words"]])
async def test_a_room_whose_place_was_overwritten_begins_again(
    command: list[str], valkey: Valkey, request: pytest.FixtureRequest
) -> None:
    room = request.node.name
    name, *rest = command
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub:
        before = await hub.publish(room, "before")
        answer = await asyncio.to_thread(valkey.say, name, META % room, *rest)
        assert answer.startswith(":")
        after = await hub.publish(room, "after")
        assert after.epoch != before.epoch
        follower = await missed(hub, room, before, 2)
        assert len(follower.gaps) == 1
        assert follower.payloads == ["after"]


async def test_a_message_that_somebody_has_deleted_is_a_gap(valkey: Valkey) -> None:
    room = "foreign-deleted"
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub:
        first, _, third, _ = [await hub.publish(room, str(number)) for number in range(4)]
        assert await asyncio.to_thread(valkey.say, "XDEL", LOG % room, f"{third.offset}-0") == ":1\r\n"
        follower = await missed(hub, room, first, 3)
        assert len(follower.gaps) == 1
        assert follower.payloads == ["1", "3"]


async def test_text_and_keys_that_are_no_utf8_are_delivered_as_what_they_can_be(valkey: Valkey) -> None:
    room = "foreign-utf8"
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        await hub.publish(room, "before")
        # As an older hub, or one in another language, might: by the rules, except for the bytes.
        script = """
            local top = redis.call('HGET', KEYS[1], 'o')
            local epoch = redis.call('HGET', KEYS[1], 'e')
            local offset = string.format('%.0f', top + 1)
            redis.call('HSET', KEYS[1], 'o', offset)
            redis.call('XADD', KEYS[2], offset .. '-0', 'n', 'x', 'p', top, 't', 't', 'd', '\\255text', 'k', '\\255')
            return redis.call('SPUBLISH', ARGV[1],
                'm ' .. epoch .. ' ' .. offset .. ' ' .. top .. ' t 1 -\\n' .. '\\255' .. '\\255text')
        """
        answer = await asyncio.to_thread(valkey.say, "EVAL", script, "2", META % room, LOG % room, CHANNEL % room)
        assert answer == ":1\r\n"
        await hub.publish(room, "after")
        await follower.until(lambda: len(follower.events) == 3, "three messages come")
        assert follower.payloads == ["before", b"\xfftext", "after"]
        assert follower.events[1].key == "\ufffd"
        # The same again for one who comes back.
        later = await missed(hub, room, follower.events[0].position, 2)
        assert [(event.payload, event.key) for event in later.events] == [(b"\xfftext", "\ufffd"), ("after", None)]


async def test_what_is_no_message_on_a_channel_is_told_once_and_the_session_goes_on(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    room = "foreign-channel"
    caplog.set_level(logging.INFO, "falconws.hub")
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        for data in (
            "m hello",
            "",
            "x\n",
            "m e 1 0 t 99 -\nkey",
            "m e one 0 t - -\n",
            "j 1 9\nada",
            "j\n",
            "l 0 9\nada",
            "m e 1 0 z - -\n",
        ):
            assert await asyncio.to_thread(valkey.say, "SPUBLISH", CHANNEL % room, data) == ":1\r\n"
        await hub.publish(room, "after")
        await follower.until(lambda: bool(follower.events), "a message comes")
        assert follower.payloads == ["after"]
        assert follower.gaps == []
    [record] = [record for record in caplog.records if record.name == "falconws.hub"]
    assert record.levelno == logging.WARNING
    assert f"the channel of room {room!r} is ignored" in record.getMessage()


async def test_foreign_entries_among_devices_are_ignored(valkey: Valkey) -> None:
    room = "foreign-devices"
    broker = RedisBroker(valkey.url)
    async with make_hub(valkey.url, timeout_s=WAIT_S) as hub, following(hub, room):
        await broker.start(Silent())
        try:
            for key, field in (("devices", "process device"), ("devices", "x"), ("members", "x"), ("members", "ada")):
                answer = await asyncio.to_thread(valkey.say, "HSET", f"falconws:{{{room}}}:{key}", field, "foreign")
                assert answer == ":1\r\n"
            await broker.renew(30)
            await broker.join(Entry(room, "ada", "1"), b"{}")
            assert await broker.members(room) == {"ada": Member(b"{}", 1)}
            await broker.expire()
            await broker.leave(Entry(room, "ada", "1"))
            assert await broker.members(room) == {}
        finally:
            await broker.stop()


class Silent:
    """A sink that takes everything."""

    def deliver(self, publication: object) -> None: ...
    def interrupted(self, reason: str) -> None: ...
    def restored(self) -> None: ...
    def joined(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def updated(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def left(self, room: str, member: str) -> None: ...
