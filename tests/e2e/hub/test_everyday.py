"""What everyday services need of the hub, in two processes over real brokers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from falconws import HistoryLimits, Hub, Message
from tests.e2e.hub.servers import BrokerServer
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket, eventually

pytestmark = pytest.mark.parametrize("kind", ["valkey", "valkey_cluster", "nats"])


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    server: BrokerServer = request.getfixturevalue(kind)
    return server.url


@pytest.fixture
def room() -> str:
    return f"everyday {uuid.uuid4().hex}"


def messages(connection: ScriptedConnection, count: int) -> Callable[[], bool]:
    return lambda: len(connection.taken) >= count


async def test_history_on_first_load_and_paging(url: str, room: str) -> None:
    connection = ScriptedConnection()
    async with Hub(url) as publisher, Hub(url) as hub:
        assert await hub.history(room) == []
        for number in range(10):
            await publisher.publish(room, str(number), key="even" if number % 2 == 0 else "odd")
        async with hub.subscribe(ScriptedSocket(connection), room, history=3) as subscription:
            await publisher.publish(room, "live")
            await eventually(messages(connection, 4))
            assert connection.taken == ["7", "8", "9", "live"]
            assert not subscription.gap
        latest = ScriptedConnection()
        async with hub.subscribe(ScriptedSocket(latest), room, latest=True):
            await eventually(messages(latest, 2))
            assert latest.taken == ["8", "9"]
        newest = await hub.history(room, limit=4)
        assert [message.payload for message in newest] == ["7", "8", "9", "live"]
        older = await hub.history(room, limit=4, before=newest[0].position)
        assert [message.payload for message in older] == ["3", "4", "5", "6"]


async def test_ephemeral_messages_and_messages_for_all_others(url: str, room: str) -> None:
    here, there = ScriptedConnection(), ScriptedConnection()
    async with Hub(url) as hub, Hub(url) as other:
        async with (
            hub.subscribe(ScriptedSocket(here), room) as subscription,
            other.subscribe(ScriptedSocket(there), room),
        ):
            await other.publish(room, "typing", keep=False, exclude=subscription.id)
            await other.publish(room, "not to here", exclude=subscription.id)
            await hub.publish(room, "typing too", keep=False)
            await hub.publish(room, "to all")
            await eventually(messages(there, 4))
            await eventually(messages(here, 2))
            assert sorted(map(str, there.taken)) == ["not to here", "to all", "typing", "typing too"]
            assert sorted(map(str, here.taken)) == ["to all", "typing too"]
        assert [message.payload for message in await hub.history(room)] == ["not to here", "to all"]


async def test_a_client_that_resumes_does_not_receive_what_excluded_it(url: str, room: str) -> None:
    before, after, other = (ScriptedConnection() for _ in range(3))
    async with Hub(url) as hub, Hub(url) as there:
        async with hub.subscribe(ScriptedSocket(before), room) as subscription:
            start, identity = subscription.position, subscription.id
            await hub.publish(room, "its own", exclude=subscription)
        await hub.publish(room, "of another", exclude="0123")
        await hub.publish(room, "its own too", exclude=identity)
        async with (
            there.subscribe(ScriptedSocket(after), room, since=start, previous_id=identity) as resumed,
            there.subscribe(ScriptedSocket(other), room, since=start),
        ):
            await hub.publish(room, "its own again", exclude=resumed)
            await hub.publish(room, "to all")
            await eventually(messages(after, 2))
            await eventually(messages(other, 5))
            assert not resumed.gap
        assert after.taken == ["of another", "to all"]
        assert other.taken == ["its own", "of another", "its own too", "its own again", "to all"]


async def test_a_member_is_disconnected_in_every_process(url: str, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The answer of the other process has to be counted on a busy machine too.
    monkeypatch.setattr("falconws.hub.control._WAIT_S", 3.0)
    sockets = [ScriptedSocket(ScriptedConnection()) for _ in range(3)]
    member = f"ada {room}"
    async with (
        Hub(url) as hub,
        Hub(url) as other,
        hub.subscribe(sockets[0], room, member=member),
        other.subscribe(sockets[1], room, member=member),
        other.subscribe(sockets[2], room, member="ben"),
    ):
        assert await hub.disconnect(member=member, reason="signed out") == 2
        assert [socket.close_code for socket in sockets] == [4403, 4403, None]


async def test_several_messages_take_one_round_trip(url: str, room: str) -> None:
    connection = ScriptedConnection()
    async with Hub(url) as publisher, Hub(url) as hub, hub.subscribe(ScriptedSocket(connection), room):
        positions = await publisher.publish_many(room, [str(number) for number in range(600)])
        assert positions == sorted(set(positions))
        await eventually(messages(connection, 600))
        assert connection.taken == [str(number) for number in range(600)]


async def test_rooms_have_history_limits_of_their_own(url: str, room: str) -> None:
    short, none = f"short:{room}", f"none:{room}"
    history = {"short:*": HistoryLimits(messages=2), "none:*": HistoryLimits(messages=0), "*": HistoryLimits()}
    if url.startswith("nats"):
        # The stream belongs to all rooms of a prefix.
        url += "?prefix=limits"
    async with Hub(url, history=history) as hub:
        first = {name: await hub.publish(name, "0") for name in (short, none, room)}
        for number in range(1, 6):
            for name in (short, none, room):
                await hub.publish(name, str(number))
        kept = [[message.payload for message in await hub.history(name)] for name in (short, none, room)]
        assert kept == [["4", "5"], [], ["0", "1", "2", "3", "4", "5"]]
        connection = ScriptedConnection()
        since = {short: first[short], room: first[room]}
        async with hub.subscribe(ScriptedSocket(connection), short, room, since=since) as subscription:
            await eventually(messages(connection, 7))
            assert subscription.gaps == {short}


def followers(hub: Hub, room: str) -> int:
    assert hub._dispatcher is not None
    return len(hub._dispatcher.rooms[room].followers) if room in hub._dispatcher.rooms else 0


async def test_work_is_done_once(url: str, room: str) -> None:
    done: list[int] = []

    async def work(hub: Hub) -> None:
        async for event in hub.listen(room, group="mailers"):
            assert isinstance(event, Message)
            done.append(event.media)

    async with Hub(url) as publisher, Hub(url) as one, Hub(url) as other:
        workers = [asyncio.create_task(work(hub)) for hub in (one, one, other)]
        await eventually(lambda: followers(one, room) == 2 and followers(other, room) == 1)
        await publisher.publish(room, "0")
        await eventually(lambda: done)
        await publisher.publish_many(room, list(range(1, 60)))
        await eventually(lambda: len(done) >= 60)
        await asyncio.sleep(0.1)
        assert sorted(done) == list(range(60))
        for worker in workers:
            worker.cancel()
