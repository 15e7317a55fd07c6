"""What one connection's part in its rooms is, whatever happens while it joins and leaves."""

import asyncio
from typing import Any

import pytest

from falconws import HistoryLimits, Hub, Policy, Position
from falconws.hub import Entry, History
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import HeldSocket, ScriptedConnection, ScriptedSocket, eventually, settle


class HeldBroker(MemoryBroker):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__("memory://", history=HistoryLimits(messages=1000))
        self.hold = False
        self.permits = asyncio.Semaphore(0)

    async def history(self, room: str, since: Position) -> History:
        history = await super().history(room, since)
        await self._wait()
        return history

    async def join(self, entry: Entry, info: bytes) -> None:
        await super().join(entry, info)
        await self._wait()

    async def _wait(self) -> None:
        if self.hold:
            await self.permits.acquire()


async def test_a_client_that_has_left_a_room_is_sent_nothing_of_it() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "a", "b") as subscription:
        await settle()
        connection.stall()
        for number in range(3):
            await hub.publish("a", f"a{number}")
            await hub.publish("b", f"b{number}")
        await subscription.leave("a")
        connection.resume()
        await settle()
        assert connection.taken == ["b0", "b1", "b2"]


async def test_a_client_that_leaves_and_resumes_receives_each_message_once_and_in_order() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "a") as subscription:
        await settle()
        await hub.publish("a", "0")
        connection.stall()
        for number in range(1, 5):
            await hub.publish("a", str(number))
        position = subscription.position
        await subscription.leave("a")
        await subscription.join("a", since=position)
        connection.resume()
        await settle()
        assert connection.taken == ["0", "1", "2", "3", "4"]


async def test_keys_of_different_rooms_are_different() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "one", "two", policy=Policy.conflate()):
        await settle()
        connection.stall()
        for text in ("old", "new"):
            await hub.publish("one", f"{text} title of one", key="title")
            await hub.publish("two", f"{text} title of two", key="title")
        connection.resume()
        await settle()
        assert connection.taken == ["new title of one", "new title of two"]


async def test_a_client_is_not_too_slow_because_the_broker_is() -> None:
    broker = HeldBroker()
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection)
    async with Hub(broker, policy=Policy.disconnect(max_lag_s=0.05)) as hub:
        since = await hub.publish("room", "0")
        await hub.publish("room", "1")
        broker.hold = True
        subscription = hub.subscribe(socket, "room", since=since)
        joining = asyncio.create_task(subscription.__aenter__())
        await settle()
        for number in range(2, 100):
            await hub.publish("room", str(number))
        await asyncio.sleep(0.2)
        broker.permits.release()
        await joining
        await settle()
        assert connection.taken == [str(number) for number in range(1, 100)]
        assert socket.close_code is None
        # From now on it may be.
        connection.stall()
        await hub.publish("room", "x")
        await eventually(lambda: socket.close_code == 1013)


async def test_a_position_of_an_old_epoch_hides_no_messages() -> None:
    broker = HeldBroker()
    connection = ScriptedConnection()
    async with Hub(broker) as hub:
        first = await hub.publish("room", "0")
        ahead = Position(first.epoch, first.offset + 5)
        policy = Policy.drop_oldest()
        async with hub.subscribe(ScriptedSocket(connection), "room", since=ahead, policy=policy) as subscription:
            await settle()
            broker._store.epoch = "another"
            for number in range(1, 4):
                await hub.publish("room", str(number))
            async with asyncio.timeout(20):
                while connection.taken[-3:] != ["1", "2", "3"]:
                    await asyncio.sleep(0.01)
            assert subscription.position.epoch == "another"


async def test_a_member_that_leaves_and_joins_while_joining_is_removed_in_the_end() -> None:
    broker = HeldBroker()
    async with Hub(broker) as hub:
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), member="ada") as subscription:
            broker.hold = True
            first = asyncio.create_task(subscription.join("room"))
            await settle()
            await subscription.leave("room")
            second = asyncio.create_task(subscription.join("room"))
            await settle()
            broker.permits.release()
            broker.permits.release()
            await asyncio.gather(first, second)
            assert await hub.present("room") == {"ada": None}
        await settle()
        assert await hub.present("room") == {}


async def test_a_subscription_that_is_never_entered_warns() -> None:
    async with Hub() as hub:
        with pytest.warns(RuntimeWarning, match="was never entered") as caught:
            hub.subscribe(ScriptedSocket(ScriptedConnection()), "room")
        # Of the line that has to be changed.
        assert caught[0].filename == __file__


@pytest.mark.parametrize("since", [{"room": "e:1"}, {"room": None}, ("e", 1), "e:1"])
async def test_a_wrong_position_is_an_error_at_once(since: Any) -> None:
    async with Hub() as hub:
        with pytest.raises(TypeError, match="since"):
            hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", since=since)


async def test_the_backlog_of_a_listener_is_bounded() -> None:
    async with Hub() as hub:
        listener = hub.listen("room", policy=Policy.drop_oldest(max_messages=1, max_bytes=10))
        async with listener:
            for number in range(500):
                async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=f"m{number}"):
                    pass
            await asyncio.sleep(0.3)
            assert not listener._subscriber._backlog


async def test_listening_takes_a_room_and_one_loop() -> None:
    async with Hub() as hub:
        with pytest.raises(ValueError, match="room"):
            hub.listen()
        async with hub.listen("room") as listener:
            first = asyncio.create_task(anext(aiter(listener)))
            await settle()
            with pytest.raises(RuntimeError, match="a listener for each loop"):
                await anext(aiter(listener))
            await hub.publish("room", "x")
            assert (await first).payload == "x"


# Its position: a client that resumes there gets everything that it has missed.


async def test_a_client_that_disconnects_during_the_replay_keeps_its_position() -> None:
    broker = HeldBroker()
    connection = ScriptedConnection()
    async with Hub(broker) as hub, hub.listen("room"):
        since = await hub.publish("room", "0")
        await hub.publish("room", "1")
        broker.hold = True
        subscription = hub.subscribe(ScriptedSocket(connection), "room", since=since)
        entering = asyncio.create_task(subscription.__aenter__())
        await settle()
        assert subscription.position == since
        connection.disconnect()
        broker.permits.release()
        await entering
        assert subscription.position == since
        assert connection.taken == []


async def test_a_client_that_is_too_slow_keeps_the_position_before_the_waiting_message() -> None:
    connection = ScriptedConnection()
    policy = Policy.disconnect(max_lag_s=0.05)
    async with Hub() as hub, hub.subscribe(ScriptedSocket(connection), "a", "b", policy=policy) as subscription:
        await settle()
        connection.stall()
        for room in ("a", "a", "b"):
            await hub.publish(room, "x")
        await eventually(lambda: hub.stats.disconnected == 1)
        assert {room: position.offset for room, position in subscription.positions.items()} == {"a": 0, "b": 0}


@pytest.mark.parametrize("since", [None, Position("e", 7)])
async def test_a_client_that_disconnects_while_its_room_is_opened_has_a_position(since: Position | None) -> None:
    class Slow(MemoryBroker):
        async def subscribe(self, room: str) -> Position:
            await settle()
            return await super().subscribe(room)

    connection = ScriptedConnection()
    async with Hub(Slow()) as hub:
        top = await hub.publish("room", "0")
        entering = asyncio.create_task(
            (subscription := hub.subscribe(ScriptedSocket(connection), "room", since=since)).__aenter__()
        )
        await asyncio.sleep(0)
        connection.disconnect()
        await entering
        assert subscription.position == (since or top)


async def test_a_client_that_rejoins_during_the_replay_receives_each_message_once() -> None:
    broker = HeldBroker()
    connection = ScriptedConnection()
    async with Hub(broker) as hub, hub.listen("room"):
        since = await hub.publish("room", "0")
        await hub.publish("room", "1")
        broker.hold = True
        async with hub.subscribe(ScriptedSocket(connection), "other") as subscription:
            first = asyncio.create_task(subscription.join("room", since=since))
            await settle()
            await subscription.leave("room")
            second = asyncio.create_task(subscription.join("room", since=since))
            await settle()
            for _ in range(2):
                broker.permits.release()
            await asyncio.gather(first, second)
            await settle()
            assert connection.taken == ["1"]


async def test_a_socket_without_weak_references_can_subscribe() -> None:
    class Socket:
        """As Falcon's own WebSocket."""

        __slots__ = ("sent",)

        def __init__(self) -> None:
            self.sent: list[str] = []

        async def send_text(self, payload: str) -> None:
            self.sent.append(payload)

        async def send_data(self, payload: bytes) -> None: ...

        async def close(self, code: int | None = None, reason: str | None = None) -> None: ...

    socket = Socket()
    async with Hub() as hub, hub.subscribe(socket, "room"):
        await hub.publish("room", "hello")
        await settle()
        assert socket.sent == ["hello"]


# The responder goes first.


@pytest.mark.parametrize("explicit", [True, False])
async def test_events_are_held_until_the_responder_begins(explicit: bool) -> None:
    connection = ScriptedConnection()
    socket = HeldSocket(connection)
    async with Hub() as hub, hub.subscribe(socket, "room", policy=Policy.disconnect(max_lag_s=0.05)) as subscription:
        await hub.publish("room", "1")
        await asyncio.sleep(0.2)
        assert (connection.taken, socket.close_code) == ([], None)
        if explicit:
            await subscription.start()
        else:
            socket.on_used()
        await settle()
        await hub.publish("room", "2")
        await subscription.start()
        socket.on_used()
        await settle()
        assert connection.taken == ["1", "2"]


async def test_a_responder_that_never_begins_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("falconws.hub.connection_subscriber._HOLD_WARNING_S", 0.01)
    async with Hub() as hub, hub.subscribe(HeldSocket(ScriptedConnection()), "room"):
        await eventually(lambda: caplog.messages)
        assert "subscription.start()" in caplog.messages[0]
    caplog.clear()
    async with Hub() as hub:
        async with hub.subscribe(HeldSocket(ScriptedConnection()), "room"):
            pass
        await asyncio.sleep(0.05)
    assert caplog.messages == []
