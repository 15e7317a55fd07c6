"""A publication that is repeated because its answer was lost is made once, in whatever order the attempts arrive."""

from __future__ import annotations

import asyncio

import pytest

from falconws.hub.brokers.redis import scripts
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S, make_hub
from tests.e2e.hub.servers import Valkey


class Room:
    """A room as the script of publications sees it."""

    def __init__(self, valkey: Valkey, name: str) -> None:
        self._valkey = valkey
        self.name = name
        self._base = f"falconws:{{{name}}}"
        self.meta = f"{self._base}:meta"
        self.log = f"{self._base}:log"

    def publish(self, nonce: str, *, elapsed_us: int | None = None, age_us: int = 300_000_000) -> str:
        since = "" if elapsed_us is None else str(self._now_us() - elapsed_us)
        room = ("e0", "86400000", "100", str(age_us), "0")
        answer = self._valkey.say(
            "EVAL", scripts.PUBLISH, "2", self.meta, self.log, *room, self._base, "-", since, nonce, "t", "x", ""
        )
        assert answer.startswith("*1"), answer
        return answer

    def _now_us(self) -> int:
        _, _, seconds, _, microseconds, _ = self._valkey.say("TIME").split("\r\n")
        return int(seconds) * 1_000_000 + int(microseconds)

    def length(self) -> str:
        return self._valkey.say("XLEN", self.log)


@pytest.fixture
def room(valkey: Valkey, request: pytest.FixtureRequest) -> Room:
    return Room(valkey, request.node.name)


def test_one_that_has_got_through_is_found(room: Room) -> None:
    first = room.publish("a")
    room.publish("b")
    assert room.publish("a", elapsed_us=60_000_000) == first
    assert room.length() == ":2\r\n"


def test_one_of_which_the_entry_may_have_been_removed_is_not_made(room: Room) -> None:
    room.publish("a")
    room.publish("b")
    assert room.publish("c", elapsed_us=60_000_000, age_us=30_000_000) == "*1\r\n$-1\r\n"
    assert room.length() == ":2\r\n"


async def test_one_that_arrives_late_is_found(valkey: Valkey, room: Room) -> None:
    """The seconds between sending a repetition and its execution are not known when it is sent."""
    async with (
        Proxy(valkey.port) as proxy,
        make_hub(valkey.url.replace(str(valkey.port), str(proxy.port)), timeout_s=2 * WAIT_S) as hub,
    ):
        await hub.publish("another room", "x")
        proxy.hold()
        publishing = asyncio.create_task(hub.publish(room.name, "x"))
        async with asyncio.timeout(WAIT_S):
            while await asyncio.to_thread(room.length) != ":1\r\n":
                await asyncio.sleep(0.01)
        # The answer is lost, and the server does not answer the next connection for longer than clocks may differ.
        proxy.cut()
        await asyncio.sleep(1.5)
        proxy.release()
        await publishing
        assert await asyncio.to_thread(room.length) == ":1\r\n"


def test_an_attempt_that_arrives_after_its_repetition_is_not_made(room: Room) -> None:
    repeated = room.publish("a", elapsed_us=60_000_000)
    assert room.publish("a") == repeated
    assert room.publish("a", elapsed_us=60_000_000) == repeated
    assert room.length() == ":1\r\n"


def test_marks_are_dropped_after_a_minute_and_nothing_else_is(room: Room, valkey: Valkey) -> None:
    epoch_and_offset = room.publish("a", elapsed_us=1).split("\r\n")[2]
    now = epoch_and_offset.split(" ")[1]
    old, young = str(int(now) - 61_000_000), str(int(now) - 30_000_000)
    valkey.say("HSET", room.meta, "m old", f"{old} e0 1", "m young", f"{young} e0 2", "m odd", "x", "foreign", "1")
    room.publish("b", elapsed_us=1)
    # They were looked for just now, with the first.
    assert valkey.say("HEXISTS", room.meta, "m old") == ":1\r\n"
    valkey.say("HSET", room.meta, "s", old)
    room.publish("c", elapsed_us=1)
    fields = set(valkey.say("HKEYS", room.meta).split("\r\n")[2::2])
    assert fields == {"e", "o", "s", "m a", "m b", "m c", "m young", "m odd", "foreign"}
