"""Rooms with many members over NATS: their records are read in batches, and only once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from falconws.hub import Entry, HistoryLimits, Member
from falconws.hub.brokers.nats import jetstream, records
from falconws.hub.brokers.nats.broker import NatsBroker
from falconws.testing.broker_presence import PRESENCE_CHECKS
from tests.e2e.hub.recorder import TIMEOUT_S, WAIT_S
from tests.e2e.hub.servers import Nats
from tests.e2e.hub.test_contract import Check
from tests.e2e.hub.test_nats_quiet import started

LEASE_S = 600.0
BATCH = 7


@pytest.fixture(autouse=True)
def _every_room_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetstream, "_BATCH", BATCH)
    monkeypatch.setattr(records, "_WORTH_KEEPING", 1)


@pytest.mark.parametrize("check", PRESENCE_CHECKS, ids=lambda check: check.__name__)
async def test_large_rooms_keep_the_contract(check: Check, nats: Nats) -> None:
    def factory(limits: HistoryLimits) -> NatsBroker:
        return NatsBroker(f"{nats.url}?prefix=large", history=limits)

    await check(factory)


async def join(broker: NatsBroker, count: int) -> None:
    await broker.renew(LEASE_S)
    for number in range(count):
        await broker.join(Entry("room", f"member {number}", str(number)), b"null")


async def test_only_what_has_changed_is_read_again_and_a_failed_read_continues(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{nats.url}?prefix=batches"
    async with started(NatsBroker(url, timeout_s=WAIT_S)) as (one, _), started(NatsBroker(url)) as (two, _):
        await join(one, 3 * BATCH)
        assert two._streams is not None
        session = two._streams.session
        batch, read = session.batch, list[int]()

        async def counted(request: str, body: Mapping[str, Any]) -> Any:
            answers = await batch(request, body)
            if ".who." in body["next_by_subj"]:
                read.append(len(answers))
                if len(read) == 2:
                    raise ConnectionError("the answer is lost")
            return answers

        monkeypatch.setattr(session, "batch", counted)
        assert await two.count_members(["room"]) == [3 * BATCH]
        assert read == [BATCH, BATCH, BATCH, BATCH]
        for number in range(2):
            await one.leave(Entry("room", f"member {number}", str(number)))
        await one.join(Entry("room", "member 2", "2"), b"2")
        read.clear()
        members = await two.members("room")
        assert len(members) == 3 * BATCH - 2
        assert members["member 2"] == Member(b"2", 1)
        assert await two.members("room") == members
        assert sum(read) <= 3


async def test_members_of_a_stream_that_is_gone_are_not_present(nats: Nats) -> None:
    url = f"{nats.url}?prefix=presence-anew"
    async with (
        started(NatsBroker(url)) as (one, _),
        started(NatsBroker(url, timeout_s=TIMEOUT_S)) as (two, _),
    ):
        await join(one, 10)
        assert await two.count_members(["room"]) == [10]
        answer = await asyncio.to_thread(nats.ask, "$JS.API.STREAM.DELETE.presence-anew-presence")
        assert answer["success"]
        assert await one.renew(LEASE_S) is False
        await one.join(Entry("room", "new", "new"), b"null")
        async with asyncio.timeout(WAIT_S):
            while set(await two.members("room")) != {"new"}:
                await asyncio.sleep(0.05)
