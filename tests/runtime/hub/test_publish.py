"""Messages that are not kept, and messages that one subscription does not receive."""

import asyncio
from typing import Any

import pytest

from falconws import Hub, Message, Policy
from falconws.hub import Ephemeral
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import ScriptedConnection, ScriptedSocket, SlowSocket, settle


def describe(event: Any) -> str:
    match event:
        case Message():
            return f"kept {event.media}"
        case Ephemeral():
            return f"ephemeral {event.key} {event.media}"
    raise AssertionError(event)


async def test_an_ephemeral_message_is_delivered_and_not_kept() -> None:
    plain, encoded = ScriptedConnection(), ScriptedConnection()
    async with (
        Hub() as hub,
        hub.subscribe(ScriptedSocket(plain), "room") as subscription,
        hub.subscribe(ScriptedSocket(encoded), "room", encode=describe),
        hub.listen("room") as listener,
    ):
        first = await hub.publish("room", {"n": 1})
        none = await hub.publish("room", {"typing": True}, key="ada", keep=False)
        await hub.publish("room", {"n": 2})
        assert none is None
        assert plain.taken == ['{"n": 1}', '{"typing": true}', '{"n": 2}']
        assert encoded.taken == ["kept {'n': 1}", "ephemeral ada {'typing': True}", "kept {'n': 2}"]
        assert subscription.position.offset == first.offset + 1
        assert [message.media for message in await hub.history("room")] == [{"n": 1}, {"n": 2}]
        assert hub.stats.published == 3
        events = aiter(listener)
        assert [(await anext(events)).position.offset for _ in range(2)] == [1, 2]
        await events.aclose()


async def test_an_ephemeral_message_waits_in_the_backlog_like_any_other() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "room") as subscription:
        await settle()
        connection.stall()
        await hub.publish("room", "typing", keep=False)
        await hub.publish("room", "kept")
        assert subscription.position.offset == 0
        connection.resume()
        await settle()
        assert connection.taken == ["typing", "kept"]


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("extension", [True, False])
async def test_the_excluded_subscription_does_not_receive_the_message(by_id: bool, keep: bool, extension: bool) -> None:
    """In two processes on one server; a second subscription of the same connection does."""
    first = MemoryBroker()
    connections = [ScriptedConnection() for _ in range(4)]
    sockets = [ScriptedSocket(connection if extension else None) for connection in connections]

    def received() -> list[list[str | bytes]]:
        if extension:
            return [connection.taken for connection in connections]
        return [socket.sent for socket in sockets]

    async with (
        Hub(first) as hub,
        Hub(MemoryBroker(shares=first)) as other,
        hub.subscribe(sockets[0], "room") as author,
        hub.subscribe(sockets[1], "room"),
        hub.subscribe(sockets[2], "room", encode=lambda event: "encoded"),
        other.subscribe(sockets[3], "room") as remote,
    ):
        await settle()
        exclude = author.id if by_id else author
        await hub.publish("room", "1", exclude=exclude, keep=keep)
        await other.publish("room", "2", exclude=exclude, keep=keep)
        await hub.publish("room", "3", exclude=remote, keep=keep)
        await settle()
        assert received() == [["3"], ["1", "2", "3"], ["encoded"] * 3, ["1", "2"]]
        assert author.positions == remote.positions


async def test_of_two_subscriptions_of_a_connection_one_is_excluded() -> None:
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection)
    async with Hub() as hub, hub.subscribe(socket, "room") as one, hub.subscribe(socket, "room") as two:
        await settle()
        for subscription in (one, two):
            await hub.publish("room", "x", exclude=subscription)
        await settle()
        assert connection.taken == ["x", "x"]


async def test_an_excluded_message_that_waits_for_others_is_not_sent_later() -> None:
    slow = SlowSocket()
    async with Hub() as hub, hub.subscribe(slow, "room") as subscription:
        for number in range(4):
            await hub.publish("room", str(number), exclude=subscription if number % 2 else None)
        slow.take(10)
        await settle()
        assert slow.sent == ["0", "2"]
        assert subscription.position.offset == 4


@pytest.mark.parametrize("exclude", [5, b"abc", "a b", "", "x" * 65, "é"])
async def test_what_is_excluded_is_a_subscription_or_its_id(exclude: Any) -> None:
    async with Hub() as hub:
        with pytest.raises((TypeError, ValueError), match="exclude is"):
            await hub.publish("room", "x", exclude=exclude)


async def test_an_id_of_a_subscription_that_has_ended_excludes_nobody() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "room"):
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room") as gone:
            name = gone.id
        await hub.publish("room", "x", exclude=name)
        await asyncio.to_thread(hub.publish_threadsafe, "room", "y", exclude=gone, keep=False)
        assert connection.taken == ["x", "y"]
        assert hub._dispatcher is not None
        assert hub._dispatcher.subscribers == {}


async def test_several_messages_are_published_in_order() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "room", policy=Policy.conflate()) as author:
        positions = await hub.publish_many("room", [{"n": 1}, "text", b"bytes"])
        assert connection.taken == ['{"n": 1}', "text", b"bytes"]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert await hub.publish_many("room", []) == []
        await hub.publish_many("room", [{"n": 1}, {"n": 2}], key=lambda media: f"key {media['n']}", exclude=author)
        assert len(connection.taken) == 3
        assert [message.key for message in await hub.history("room", limit=2)] == ["key 1", "key 2"]
        assert len(await hub.publish_many("room", (str(number) for number in range(1000)))) == 1000
        await settle()
        assert connection.taken[3:] == [str(number) for number in range(1000)]
        assert hub.stats.published == 1005


async def test_of_messages_that_cannot_be_published_none_is() -> None:
    async with Hub() as hub:
        with pytest.raises((TypeError, ValueError)):
            await hub.publish_many("room", ["fine", object()])
        with pytest.raises(TypeError, match="key"):
            await hub.publish_many("room", ["fine", 5], key=lambda media: media)
        assert await hub.history("room") == []
