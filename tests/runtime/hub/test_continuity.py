"""What subscribers are promised, over a broker that loses, repeats and delays deliveries, and goes away.

Beside the hub there is simply a list of what was published. Every subscriber has to get it once and in order from where
it began, across its own absences too, and has to be told of a gap where something is missing for good.
"""

import asyncio
import itertools
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from falconws import BrokerUnavailable, Gap, HistoryLimits, Hub, Message, Policy, Position, Subscription
from falconws.hub.broker import History, Payload, Publication, Sink
from falconws.hub.brokers.memory import MemoryBroker
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket, settle

ROOMS = ("a", "b")


class Unreliable(MemoryBroker):
    """A broker whose publications reach the hub when, and if, the test says so."""

    def __init__(self, limits: HistoryLimits, shares: MemoryBroker | None = None) -> None:
        super().__init__(history=limits, shares=shares)
        self.pending: list[Publication] = []
        self.away = False
        self.hub: Sink

    async def start(self, sink: Sink) -> None:
        self.hub = sink
        await super().start(self)

    def deliver(self, publication: Publication) -> None:
        self.pending.append(publication)

    def pass_on(self, index: int) -> None:
        self.hub.deliver(self.pending.pop(index))

    async def history(self, room: str, since: Position) -> History:
        if self.away:
            raise BrokerUnavailable("it is away")
        await asyncio.sleep(0)
        history = await super().history(room, since)
        await asyncio.sleep(0)
        return history

    async def publish(self, room: str, payload: Payload, *, key: str | None = None) -> Position:
        return await super().publish(room, payload, key=key)


def tell(event: Any) -> str | None:
    match event:
        case Message():
            return json.dumps(["message", *event.position, event.media])
        case Gap():
            return json.dumps(["gap", *event.position])
    return None


@dataclass(eq=False)
class Client:
    """A client that remembers where it stands, and checks every step."""

    room: str
    process: int = 0
    subscription: Subscription | None = None
    connection: ScriptedConnection = field(default_factory=ScriptedConnection)
    position: Position | None = None
    read: int = 0
    gaps: int = 0
    received: dict[str, int] = field(default_factory=dict)
    """The offset of the last message of each epoch."""

    def check(self, published: dict[tuple[str, str], list[list[int]]]) -> None:
        for text in self.connection.taken[self.read :]:
            kind, epoch, offset, *payload = json.loads(text)
            assert self.position is not None
            if kind == "gap":
                self.gaps += 1
                # Something is missing: a newer epoch has begun, or messages of this one are gone.
                assert (len(epoch), offset) > (len(self.position.epoch), self.position.offset)
                self.position = Position(epoch, offset)
                continue
            assert (epoch, offset) == (self.position.epoch, self.position.offset + 1)
            assert offset > self.received.get(epoch, 0), "it has come before"
            self.received[epoch] = offset
            assert payload == [published[self.room, epoch][offset - 1]]
            self.position = Position(epoch, offset)
        self.read = len(self.connection.taken)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.hub.recovery.backoff", lambda: itertools.repeat(0.0))


class Continuity(RuleBasedStateMachine):
    limits = HistoryLimits(messages=1000)

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        # Two processes on one server.
        first = Unreliable(self.limits)
        self.brokers = (first, Unreliable(self.limits, first))
        policy = Policy.disconnect(max_lag_s=60)
        self.hubs = tuple(Hub(broker, policy=policy) for broker in self.brokers)
        self.clients: list[Client] = []
        self.published: dict[tuple[str, str], list[list[int]]] = {}
        self.count = 0
        for hub in self.hubs:
            self.run(hub.start())

    @property
    def busy(self) -> list[Unreliable]:
        return [broker for broker in self.brokers if broker.pending]

    def run(self, action: Any) -> None:
        """Run a coroutine, or call a function, in the event loop, and what follows from it."""

        async def run() -> None:
            if callable(action):
                action()
            else:
                await action
            await settle()

        self.loop.run_until_complete(asyncio.wait_for(run(), 20))

    async def _publish(self, room: str) -> None:
        self.count += 1
        position = await self.hubs[self.count % 2].publish(room, [self.count])
        self.published.setdefault((room, position.epoch), []).append([self.count])
        assert len(self.published[room, position.epoch]) == position.offset

    @rule(room=st.sampled_from(ROOMS), count=st.integers(1, 5))
    def publish(self, room: str, count: int) -> None:
        for _ in range(count):
            self.run(self._publish(room))

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), count=st.integers(1, 5))
    def pass_on(self, data: Any, count: int) -> None:
        broker = data.draw(st.sampled_from(self.busy))
        for _ in range(min(count, len(broker.pending))):
            self.run(lambda: broker.pass_on(0))

    @rule()
    def pass_on_all(self) -> None:
        def pass_on() -> None:
            for broker in self.brokers:
                while broker.pending:
                    broker.pass_on(0)

        self.run(pass_on)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def lose(self, data: Any) -> None:
        pending = data.draw(st.sampled_from(self.busy)).pending
        pending.pop(data.draw(st.integers(0, len(pending) - 1)))

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        pending = data.draw(st.sampled_from(self.busy)).pending
        pending.append(data.draw(st.sampled_from(pending)))

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def overtake(self, data: Any) -> None:
        broker = data.draw(st.sampled_from(self.busy))
        index = data.draw(st.integers(0, len(broker.pending) - 1))
        self.run(lambda: broker.pass_on(index))

    @rule(process=st.integers(0, 1))
    def cut_off(self, process: int) -> None:
        broker = self.brokers[process]
        broker.away = True
        broker.pending.clear()
        self.run(lambda: broker.hub.interrupted("the test says so"))

    @precondition(lambda self: any(broker.away for broker in self.brokers))
    @rule()
    def come_back(self) -> None:
        for broker in self.brokers:
            broker.away = False
            self.run(broker.hub.restored)
        if not self.busy:
            self.check_that_all_are_up_to_date()

    @rule(process=st.integers(0, 1))
    def come_back_alone(self, process: int) -> None:
        broker = self.brokers[process]
        broker.away = False
        self.run(broker.hub.restored)

    @precondition(lambda self: len(self.clients) < 6)
    @rule(room=st.sampled_from(ROOMS), process=st.integers(0, 1))
    def arrive(self, room: str, process: int) -> None:
        client = Client(room, process)
        self.clients.append(client)
        self.run(self._enter(client))

    async def _enter(self, client: Client) -> None:
        client.connection, client.read = ScriptedConnection(), 0
        socket = ScriptedSocket(client.connection)
        subscription = self.hubs[client.process].subscribe(socket, client.room, since=client.position, encode=tell)
        try:
            await subscription.__aenter__()
        except BrokerUnavailable:
            assert self.brokers[client.process].away
            return
        client.subscription = subscription
        if client.position is None:
            client.position = subscription.position
        elif not subscription.gap:
            assert subscription.position == client.position

    @precondition(lambda self: any(client.subscription for client in self.clients))
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.subscription]))
        client.check(self.published)
        subscription, client.subscription = client.subscription, None
        self.run(subscription.__aexit__(None, None, None))

    @precondition(lambda self: any(client.position and not client.subscription for client in self.clients))
    @rule(data=st.data(), process=st.integers(0, 1))
    def come_again(self, data: Any, process: int) -> None:
        away = [client for client in self.clients if client.position and not client.subscription]
        client = data.draw(st.sampled_from(away))
        client.process = process
        self.run(self._enter(client))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def stall_or_resume(self, data: Any) -> None:
        connection = data.draw(st.sampled_from(self.clients)).connection
        self.run(connection.stall if connection._writable else connection.resume)

    @invariant()
    def every_client_gets_the_next_message_or_is_told(self) -> None:
        for client in getattr(self, "clients", ()):
            client.check(self.published)
            self.check_gaps(client)

    def check_gaps(self, client: Client) -> None:
        assert client.gaps == 0, "the history has everything"

    def check_that_all_are_up_to_date(self) -> None:
        for client in self.clients:
            client.check(self.published)
            if client.subscription is not None and client.connection._writable:
                assert client.position is not None
                epoch, offset = client.position
                assert epoch == self.brokers[0]._store.epoch
                assert offset == len(self.published.get((client.room, epoch), ()))

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            try:
                self.finish()
            finally:
                for hub in self.hubs:
                    self.run(hub.stop())
                self.loop.close()

    def finish(self) -> None:
        self.come_back()
        for room in ROOMS:
            self.publish(room, 1)
        self.pass_on_all()
        for client in self.clients:
            self.run(client.connection.resume)
        self.every_client_gets_the_next_message_or_is_told()
        self.check_that_all_are_up_to_date()


class ContinuityWithGaps(Continuity):
    """The same with a short history, and a broker that may lose everything."""

    limits = HistoryLimits(messages=3)

    def check_gaps(self, client: Client) -> None:
        pass

    @rule(at_once=st.booleans())
    def begin_afresh(self, at_once: bool) -> None:
        """The server loses everything, as one does that is restarted without its data.

        A process learns that when its connection is back; what it has received before may still be unread.
        """
        store = self.brokers[0]._store
        store.epoch = f"{store.epoch}+"
        store.rooms.clear()
        store.dormant.clear()
        store.forgotten = 0
        if at_once:
            for broker in self.brokers:
                broker.pending.clear()
            self.come_back()


class ContinuityWithoutHistory(ContinuityWithGaps):
    """The same again with none at all."""

    limits = HistoryLimits(messages=0)


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestContinuity = Continuity.TestCase
TestContinuityWithGaps = ContinuityWithGaps.TestCase
TestContinuityWithoutHistory = ContinuityWithoutHistory.TestCase
for case in (TestContinuity, TestContinuityWithGaps, TestContinuityWithoutHistory):
    case.settings = SETTINGS
del case


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    logging.getLogger("falconws.hub").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("falconws.hub").setLevel(logging.NOTSET)


async def test_a_client_that_is_ahead_of_its_new_process_receives_nothing_twice() -> None:
    first = Unreliable(HistoryLimits())
    second = Unreliable(HistoryLimits(), first)
    async with Hub(first) as publisher, Hub(second) as behind:
        other, client = ScriptedConnection(), ScriptedConnection()
        async with behind.subscribe(ScriptedSocket(other), "room"):
            positions = [await publisher.publish("room", str(number)) for number in range(3)]
            async with behind.subscribe(ScriptedSocket(client), "room", since=positions[1]) as subscription:
                assert subscription.position == positions[1]
                while second.pending:
                    second.pass_on(0)
                    await settle()
                await publisher.publish("room", "3")
                second.pass_on(0)
                await settle()
                assert (subscription.position.offset, subscription.gap) == (4, False)
    assert other.taken == ["0", "1", "2", "3"]
    assert client.taken == ["2", "3"]


async def test_a_client_that_knows_more_of_a_new_epoch_than_its_process_receives_nothing_twice() -> None:
    """The server has lost its data; one process has noticed, and the client comes from there to another."""
    first = Unreliable(HistoryLimits())
    second = Unreliable(HistoryLimits(), first)
    async with Hub(first) as noticed, Hub(second) as behind:
        other, client = ScriptedConnection(), ScriptedConnection()
        async with behind.subscribe(ScriptedSocket(other), "room", encode=tell):
            await noticed.publish("room", "0")
            first._store.epoch = "new"
            first._store.rooms.clear()
            positions = [await noticed.publish("room", str(number)) for number in range(1, 4)]
            async with behind.subscribe(
                ScriptedSocket(client), "room", since=positions[1], encode=tell
            ) as subscription:
                second.hub.restored()
                while second.pending:
                    second.pass_on(0)
                await settle()
                assert (subscription.position, subscription.gap) == (positions[2], False)
    assert [json.loads(text)[0] for text in other.taken] == ["gap", "message", "message", "message"]
    assert [json.loads(text) for text in client.taken] == [["message", "new", 3, 3]]


def only_messages(event: Any) -> str | None:
    assert isinstance(event, Message)
    return tell(event)


@pytest.mark.parametrize("policy", [Policy.disconnect(), Policy.drop_oldest(), Policy.conflate()])
@pytest.mark.parametrize("encode", [None, tell, only_messages])
async def test_a_client_that_must_not_miss_messages_and_cannot_be_sent_a_gap_is_disconnected(
    policy: Policy, encode: Any
) -> None:
    broker = Unreliable(HistoryLimits(messages=0))
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection)
    async with Hub(broker) as hub, hub.subscribe(socket, "room", policy=policy, encode=encode) as subscription:
        assert subscription.gaps == frozenset()
        await broker.publish("room", "1")
        await broker.publish("room", "2")
        del broker.pending[0]
        broker.pass_on(0)
        await settle()
        assert subscription.gaps == {"room"}
        if encode is not tell and not policy.drops:
            assert (socket.close_code, socket.close_reason) == (1013, "messages are missing")
            assert (hub.stats.disconnected, hub.stats.dropped) == (1, 0)
            # Where it comes back, it is told.
            assert subscription.position.offset == 0
            assert hub._dispatcher.rooms == {}
        else:
            assert socket.close_code is None
            epoch, _ = await broker.publish("room", "3")
            broker.pass_on(0)
            await settle()
            told = [json.dumps(["gap", epoch, 2]), json.dumps(["message", epoch, 3, 3])]
            assert connection.taken == {None: ["3"], tell: told, only_messages: told[1:]}[encode]
