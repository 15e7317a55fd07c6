"""Those who ask at the same time who is present share an answer, which is never older than their question."""

import asyncio
import logging
import traceback

import pytest

from falconws import HistoryLimits
from falconws.hub import BrokerUnavailable
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.presence import Roster

from .scripted import settle


class SlowBroker(MemoryBroker):
    """Takes the list of members at once, and hands it out when it is told to."""

    def __init__(self) -> None:
        super().__init__("memory://", history=HistoryLimits())
        self.asked = 0
        self.permits = asyncio.Semaphore(0)
        self.problem: Exception | None = None

    async def members(self, room: str) -> dict[str, bytes]:
        self.asked += 1
        members = await super().members(room)
        await self.permits.acquire()
        if self.problem is not None:
            raise self.problem
        return members


async def test_an_answer_that_was_asked_for_before_is_not_taken() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    await broker.join("room", "ada", "1", b"null", 30)
    first = asyncio.create_task(roster.members("room"))
    await settle()
    await broker.join("room", "bob", "2", b'{"colour": "red"}', 30)
    later = [asyncio.create_task(roster.members("room")) for _ in range(20)]
    await settle()
    broker.permits.release()
    assert await first == {"ada": None}
    broker.permits.release()
    everybody = {"ada": None, "bob": {"colour": "red"}}
    assert await asyncio.gather(*later) == [everybody] * 20
    assert broker.asked == 2
    answers = [task.result() for task in later]
    answers[0].clear()
    assert answers[1] == everybody


async def test_who_gives_up_asking_leaves_the_question_to_the_next() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    tasks = [asyncio.create_task(roster.members("room")) for _ in range(3)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert broker.asked == 2
    broker.permits.release()
    assert await asyncio.gather(*tasks[1:]) == [{}, {}]
    assert broker.asked == 2


async def test_a_broker_that_is_away_is_told_to_all_at_once_and_not_for_ever() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    broker.problem = BrokerUnavailable("gone")
    tasks = [asyncio.create_task(roster.members("room")) for _ in range(20)]
    await settle()
    broker.permits.release()
    await asyncio.wait(tasks)
    assert all(task.exception() is broker.problem for task in tasks)
    assert broker.asked == 1
    # Who is told last is not told of all the others.
    assert len(traceback.extract_tb(broker.problem.__traceback__)) < 10
    broker.problem = None
    broker.permits.release()
    assert await roster.members("room") == {}


async def test_rooms_do_not_wait_for_each_other() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    slow = asyncio.create_task(roster.members("one"))
    await settle()
    other = asyncio.create_task(roster.members("two"))
    await settle()
    assert broker.asked == 2
    broker.permits.release()
    broker.permits.release()
    assert await slow == await other == {}


async def test_info_that_is_no_json_is_nothing_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    broker = SlowBroker()
    await broker.join("room", "ada", "1", b"{", 30)
    broker.permits.release()
    with caplog.at_level(logging.WARNING, "falconws.hub"):
        assert await Roster(broker).members("room") == {"ada": None}
    assert "'ada'" in caplog.text
