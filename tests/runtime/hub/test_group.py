"""Work that one of several processes does: ``hub.listen(group=...)``."""

import asyncio
from typing import Any

import pytest

from falconws import BrokerUnavailable, Gap, Hub, Message, Policy, Position
from falconws.hub import BrokerRefused
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import eventually, settle


async def work(hub: Hub, done: list[str], group: str, delay_s: float = 0.0) -> None:
    async for event in hub.listen("jobs", group=group):
        assert isinstance(event, Message)
        await asyncio.sleep(delay_s)
        done.append(str(event.payload))


async def test_each_message_goes_to_one_of_a_group_and_to_every_group() -> None:
    first = MemoryBroker()
    done: list[list[str]] = [[], [], [], []]
    async with Hub(first) as hub, Hub(MemoryBroker(shares=first)) as other:
        workers = [
            asyncio.create_task(work(hub, done[0], "mail")),
            asyncio.create_task(work(other, done[1], "mail", 0.001)),
            asyncio.create_task(work(other, done[2], "audit")),
        ]
        await settle()
        for number in range(50):
            await hub.publish("jobs", str(number))
        await eventually(lambda: len(done[0]) + len(done[1]) == 50 and len(done[2]) == 50)
        assert sorted(map(int, done[0] + done[1])) == list(range(50))
        assert done[2] == [str(number) for number in range(50)]
        for worker in workers:
            worker.cancel()


async def test_a_worker_that_is_busy_leaves_the_messages_to_others() -> None:
    quick: list[str] = []
    slow: list[str] = []
    async with Hub() as hub:
        workers = [
            asyncio.create_task(work(hub, slow, "mail", 0.2)),
            asyncio.create_task(work(hub, quick, "mail")),
        ]
        await settle()
        for number in range(20):
            await hub.publish("jobs", str(number))
            await settle()
        await eventually(lambda: len(quick) + len(slow) == 20)
        assert len(slow) <= 2
        for worker in workers:
            worker.cancel()


async def test_a_message_is_not_lost_while_the_broker_is_away() -> None:
    class Away(MemoryBroker):
        failures = 3

        async def claim(self, *arguments: Any) -> bool:
            self.failures -= 1
            if self.failures >= 0:
                raise BrokerUnavailable("away")
            return await super().claim(*arguments)

    done: list[str] = []
    async with Hub(Away()) as hub:
        worker = asyncio.create_task(work(hub, done, "mail"))
        await settle()
        await hub.publish("jobs", "x")
        await eventually(lambda: done)
        assert done == ["x"]
        worker.cancel()


async def test_a_claim_that_the_broker_refuses_ends_the_loop() -> None:
    class Refusing(MemoryBroker):
        async def claim(self, *arguments: Any) -> bool:
            raise BrokerRefused("no permission")

    async with Hub(Refusing()) as hub, hub.listen("jobs", group="mail") as jobs:
        await hub.publish("jobs", "x")
        with pytest.raises(BrokerRefused, match="no permission"):
            await anext(aiter(jobs))


@pytest.mark.parametrize("policy", [Policy.drop_oldest(), Policy.disconnect(max_lag_s=3601)])
async def test_a_message_does_not_wait_for_longer_than_claims_are_kept(policy: Policy) -> None:
    async with Hub() as hub:
        with pytest.raises(ValueError, match="3600"):
            hub.listen("jobs", group="mail", policy=policy)


async def test_every_loop_receives_a_gap() -> None:
    async with Hub() as hub:
        for _ in range(2):
            events = aiter(hub.listen("jobs", since=Position("old", 5), group="mail"))
            assert isinstance(await anext(events), Gap)
            await events.aclose()


@pytest.mark.parametrize("group", ["", "x" * 256, 5])
async def test_the_name_of_a_group_is_checked(group: Any) -> None:
    async with Hub() as hub:
        with pytest.raises((TypeError, ValueError), match="group"):
            hub.listen("jobs", group=group)
