"""A publication that is repeated because its answer was lost is made once, in whatever order the attempts arrive."""

from __future__ import annotations

import pytest

from falconws.hub.brokers.redis import scripts
from tests.e2e.hub.servers import Valkey


class Room:
    """A room as the script of publications sees it."""

    def __init__(self, valkey: Valkey, name: str) -> None:
        self._valkey = valkey
        self._base = f"falconws:{{{name}}}"
        self.meta = f"{self._base}:meta"
        self.log = f"{self._base}:log"

    def publish(self, nonce: str, *, elapsed_us: int | None = None) -> str:
        since = "" if elapsed_us is None else str(elapsed_us)
        room = ("e0", "86400000", "100", "300000000", "0")
        answer = self._valkey.say(
            "EVAL", scripts.PUBLISH, "2", self.meta, self.log, *room, self._base, "-", since, nonce, "t", "x", ""
        )
        assert answer.startswith("*1"), answer
        return answer

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
