"""Clients that come back at once share what is asked of the broker, and what is encoded."""

import asyncio
from typing import Any

import pytest

from falconws import Gap, HistoryLimits, Hub, Message, Position
from falconws.hub import BrokerUnavailable, History
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import ScriptedConnection, ScriptedSocket, settle


class SlowBroker(MemoryBroker):
    """Answers questions for the history when it is told to."""

    def __init__(self) -> None:
        super().__init__("memory://", history=HistoryLimits(messages=100))
        self.asked = 0
        self.permits = asyncio.Semaphore(0)
        self.problem: Exception | None = None

    def forget(self) -> None:
        """Begin a new epoch."""
        self._store.epoch = "of now"
        self._store.rooms.clear()

    async def history(self, room: str, since: Position) -> History:
        self.asked += 1
        history = await super().history(room, since)
        await self.permits.acquire()
        if self.problem is not None:
            raise self.problem
        return history


class Client:
    """A client that comes back, and stays."""

    def __init__(self, hub: Hub, since: Position, encode: Any = None) -> None:
        self.connection = ScriptedConnection()
        self.error: Exception | None = None
        self._subscription = hub.subscribe(ScriptedSocket(self.connection), "room", since=since, encode=encode)
        self.task = asyncio.create_task(self._stay())

    async def _stay(self) -> None:
        try:
            async with self._subscription:
                await asyncio.Event().wait()
        except BrokerUnavailable as error:
            self.error = error

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def leave(*clients: Client) -> None:
    for client in clients:
        await client.leave()


async def test_clients_that_resume_together_request_the_history_once_and_miss_nothing() -> None:
    broker = SlowBroker()
    async with Hub(broker) as hub:
        start = await hub.publish("room", "0")
        await hub.publish("room", "1")
        early = [Client(hub, start) for _ in range(50)]
        await settle()
        # What comes now is not in the answer that the first are waiting for, and was not delivered to the others.
        await hub.publish("room", "2")
        late = [Client(hub, start) for _ in range(50)]
        await settle()
        assert broker.asked == 1
        broker.permits.release()
        await settle()
        assert broker.asked == 2
        broker.permits.release()
        await settle()
        await hub.publish("room", "3")
        await settle()
        assert [client.connection.taken for client in early + late] == [["1", "2", "3"]] * 100
        await leave(*early, *late)


async def test_clients_with_positions_of_an_old_epoch_share_a_request() -> None:
    broker = SlowBroker()
    async with Hub(broker) as hub:
        await hub.publish("room", "0")
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room"):
            # The broker has forgotten everything, and the room does not know yet.
            broker.forget()
            clients = [Client(hub, Position("of old", 7), str) for _ in range(50)]
            await settle()
            # Of the epoch, the room learns from the history too. Then the clients ask again.
            while not all(client.connection.taken for client in clients):
                broker.permits.release()
                await settle()
            assert broker.asked < 10
            assert all(len(client.connection.taken) == 1 and "Gap" in client.connection.taken[0] for client in clients)
            await leave(*clients)


async def test_the_next_caller_repeats_a_call_that_was_cancelled() -> None:
    broker = SlowBroker()
    async with Hub(broker) as hub:
        start = await hub.publish("room", "0")
        await hub.publish("room", "1")
        first, second, third = (Client(hub, start) for _ in range(3))
        await settle()
        await first.leave()
        await settle()
        assert broker.asked == 2
        broker.permits.release()
        await settle()
        assert second.connection.taken == third.connection.taken == ["1"]
        await leave(second, third)


async def test_all_waiting_clients_receive_the_error_of_the_broker() -> None:
    broker = SlowBroker()
    async with Hub(broker) as hub:
        start = await hub.publish("room", "0")
        await hub.publish("room", "1")
        clients = [Client(hub, start) for _ in range(20)]
        await settle()
        broker.problem = BrokerUnavailable("gone")
        broker.permits.release()
        await asyncio.wait([client.task for client in clients])
        assert broker.asked == 1
        assert all(client.error is broker.problem for client in clients)


async def test_a_replay_is_encoded_once_for_all_that_share_the_function() -> None:
    calls: list[str] = []

    def loud(event: object) -> str | None:
        assert isinstance(event, Message)
        calls.append(str(event.payload))
        return None if event.payload == "2" else f"{event.payload}!"

    async with Hub() as hub:
        start = await hub.publish("room", "0")
        for number in range(1, 4):
            await hub.publish("room", str(number))
        clients = []
        for _ in range(20):
            clients.append(Client(hub, start, loud))
            await settle()
        plain = Client(hub, start)
        await settle()
        assert [client.connection.taken for client in clients] == [["1!", "3!"]] * 20
        assert plain.connection.taken == ["1", "2", "3"]
        assert (calls.count("1"), calls.count("3")) == (1, 1)
        await leave(*clients, plain)


async def test_encoded_events_are_kept_only_while_clients_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.hub.replay._PERIOD_S", 0.01)
    monkeypatch.setattr("falconws.hub.replay._MAX_MESSAGES", 2)
    monkeypatch.setattr("falconws.hub.replay._MAX_MESSAGE_BYTES", 100)
    calls: list[str] = []

    def count(event: Message | Gap) -> str:
        assert isinstance(event, Message)
        calls.append(str(event.payload))
        return str(event.payload)

    async with Hub() as hub:
        start = await hub.publish("room", "0")
        texts = ["u", "v", "w", "x" * 200]
        for text in texts:
            await hub.publish("room", text)
        client = Client(hub, start, count)
        await settle()
        # Not all are kept: only so many, and none that is large.
        again = Client(hub, start, count)
        await settle()
        assert client.connection.taken == again.connection.taken == texts
        assert calls == [*texts, "w", "x" * 200]
        calls.clear()
        async with asyncio.timeout(20):
            while calls != texts:
                await asyncio.sleep(0.03)
                calls.clear()
                last = Client(hub, start, count)
                await settle()
                await last.leave()
        await leave(client, again)


async def test_an_event_in_many_backlogs_exists_once() -> None:
    async with Hub() as hub:
        start = await hub.publish("room", "0")
        for _ in range(5):
            await hub.publish("room", "x" * 50_000)
        clients = []
        for _ in range(20):
            client = Client(hub, start)
            client.connection.stall()
            clients.append(client)
            await settle()
        # Larger than what is kept for those who come later; all of these wait at the same time.
        waiting = [outgoing for client in clients for outgoing in client._subscription._subscriber._backlog or ()]
        assert len(waiting) == 100
        assert len(set(map(id, waiting))) == 5
        await leave(*clients)
