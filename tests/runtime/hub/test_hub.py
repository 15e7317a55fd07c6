import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from math import inf, nan
from typing import Any

import pytest
from falcon import OperationNotAllowed, WebSocketPayloadType

from falconws import App, Gap, HistoryLimits, Hub, Joined, Left, ListenerTooSlow, Message, Policy, Position, Updated
from falconws.hub import BrokerUnavailable, Dropped, Health, Sink
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.brokers.redis.url import RedisUrl
from falconws.media import JSONHandlerWS
from falconws.testing import Client
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket, SlowSocket, eventually, settle


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub() as hub:
        yield hub


def tell(event: Any) -> Any:
    match event:
        case Message():
            return event.payload
        case Gap():
            return "gap"
        case Joined():
            return f"+{event.member} {event.info}"
        case Updated():
            return f"={event.member} {event.info} {event.devices}"
        case Left():
            return f"-{event.member}"


# Life


async def test_a_hub_that_does_not_run_says_what_to_do() -> None:
    hub = Hub()
    assert await hub.health() == Health(False, "the hub is not running")
    for call in (hub.publish("room", "x"), hub.present("room")):
        with pytest.raises(RuntimeError, match=r"add it to the app, falconws\.App\(middleware=\[hub\]\)"):
            await call
    with pytest.raises(RuntimeError, match="The hub is not running"):
        hub.subscribe(ScriptedSocket(), "room")
    async with hub:
        assert (await hub.health()).ok
        with pytest.raises(RuntimeError, match="hub is running"):
            await hub.start()
    assert not (await hub.health()).ok
    await hub.stop()


async def test_each_start_has_a_new_memory_broker() -> None:
    hub = Hub()
    positions = []
    for _ in range(2):
        async with hub:
            positions.append(await hub.publish("room", "x"))
    assert positions[0].epoch != positions[1].epoch
    assert hub.stats.published == 1


@pytest.mark.parametrize("url", ["", "memory", "kafka://localhost", "memory://x"])
def test_a_url_that_cannot_work_is_an_error_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="memory://"):
        Hub(url)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://host?colour=red", "unknown parameter 'colour'"),
        ("redis+cluster://host?colour=red", "unknown parameter 'colour'"),
        ("redis://host?health_check_interval=3", r"health_check_interval is set by the hub \(see timeout_s\)"),
        ("redis://host?ssl_ca_certs=/ca.pem", "redis-py does not accept these parameters: .*'ssl_ca_certs'"),
        ("rediss://host?ssl_cert_reqs=maybe", "redis-py does not accept these parameters: .*maybe"),
        ("redis://host?decode_responses=true", "decode_responses is set by the hub; leave it out"),
        ("redis://host?encoder_class=x", "encoder_class is set by the hub; leave it out"),
        ("redis://host?retry_on_error=x", "retry_on_error is set by the hub; leave it out"),
        ("redis://host?connection_class=x", "unknown parameter 'connection_class'"),
        ("redis://host?host=other", "unknown parameter 'host'"),
        ("redis://host?db=-1", "db cannot be '-1'"),
        ("redis://host?socket_read_size=0", "socket_read_size cannot be '0'"),
        ("redis://host/1?db=2", "two databases"),
        ("redis://host?prefix=", "give prefix one value, or leave it out"),
        ("redis://host?prefix", "give prefix one value, or leave it out"),
        ("redis://host?prefix=a&prefix=b", "give prefix one value, or leave it out"),
        ("redis://host#1", "not a URL of a Redis server"),
        ("redis://host name", "not a URL of a Redis server"),
        ("redis://host:0", "not a URL of a Redis server"),
        ("unix://run/redis.sock", "not a URL of a Redis server"),
        ("redis://host,other", r"several servers are a cluster, redis\+cluster://host:port,host:port"),
        ("redis+cluster://", "name at least one server"),
        ("redis+sentinel://host", "name the service"),
        ("redis+cluster://host?remap=x", "remap has to be"),
        ("redis+cluster:///0", "name at least one server"),
        ("redis+cluster://host,,other", "not a URL of a Redis server"),
        ("redis+cluster://host,other:port", "not a URL of a Redis server"),
        ("redis+cluster://host:1/3", "a cluster has no databases; leave out the number"),
        ("redis+cluster://host:1?db=3", "a cluster has no databases; leave out the number"),
        ("redis://host\n", "has a space or a line break at an end"),
        ("redis://ho\nst", "a control character"),
        (" nats://host", "has a space or a line break at an end"),
        ("nats://host/x", "write the servers as nats://host:port,host:port, and nothing after them"),
        ("nats://host,redis://x", "write the servers as nats://host:port,host:port, and nothing after them"),
        ("nats://host#x", "not a host and port"),
        ("nats://host?prefix=", "give prefix one value, or leave it out"),
        ("redis://host?socket_timeout=3", "socket_timeout is set by the hub"),
        ("redis://host/first", "the number of the database is missing"),
        ("redis://host:port", "not a URL of a Redis server"),
        ("nats://host:port", "not a host and port"),
        ("nats://host,,other", "not a host and port"),
        ("nats://host?colour=red", "unknown parameter 'colour'"),
    ],
)
def test_an_error_in_a_url_is_raised_at_once(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Hub(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:p%40ss@host:6379/2?prefix=demo",
        "rediss://host/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=2",
        "valkey+cluster://[::1]:6379,other:6380",
        "redis+cluster://host:6379/0",
        "redis://",
        "redis://host/?client_name=my+app&socket_keepalive=yes",
        "rediss://host?ssl_ca_certs=/etc/ca.pem",
        "REDIS://host",
        "NATS://host/",
        "MEMORY://",
        "nats://user:p%2Fw@host:4222,[::1]?replicas=3",
    ],
)
def test_urls_that_may_work_are_accepted(url: str) -> None:
    Hub(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret/x@host",
        "redis://:1/s3cret?@host:1/2",
        "redis://:s3cret#x@host",
        "redis://host:s3cret@host:port",
        "rediss://:s3cret@host?ssl_cert_reqs=maybe",
        "nats://user:s3cret/x@host",
        "nats://user:1?s3cret@host",
        "redis://:s3cret@host\n",
    ],
)
def test_an_error_in_a_url_does_not_contain_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+\.$") as told:
        Hub(url)
    assert "s3cret" not in str(told.value)


def test_all_servers_of_a_cluster_are_asked_at_their_addresses() -> None:
    url = RedisUrl("redis+cluster://me:pw@[::1]:7000,[::2]:7001,[::3],other")
    assert url.seeds == ["::1:7000", "::2:7001", "::3:6379", "other:6379"]
    connections = [url.connection(place, timeout_s=1) for place in url.seeds]
    assert [(c.host, c.port) for c in connections] == [("::1", 7000), ("::2", 7001), ("::3", 6379), ("other", 6379)]


def test_the_handlers_of_an_app_are_those_of_a_hub() -> None:
    Hub(media_handlers=App().ws_options.media_handlers)


SECONDS: list[tuple[Callable[[Any], object], str]] = [
    (lambda seconds: Hub(lease_s=seconds), "Hub(lease_s="),
    (lambda seconds: Hub(timeout_s=seconds), "Hub(timeout_s="),
    (lambda seconds: HistoryLimits(age_s=seconds), "HistoryLimits(age_s="),
]


@pytest.mark.parametrize(("make", "argument"), SECONDS)
@pytest.mark.parametrize(
    ("seconds", "kind", "problem"),
    [
        (0, ValueError, "use a positive number of seconds."),
        (-0.5, ValueError, "use a positive number of seconds."),
        (nan, ValueError, "use a positive number of seconds."),
        (inf, ValueError, "use at most 315360000 seconds, which are ten years."),
        (1e12, ValueError, "use at most 315360000 seconds, which are ten years."),
        (10**400, ValueError, "use at most 315360000 seconds, which are ten years."),
        (True, TypeError, "use a number of seconds."),
        ("5", TypeError, "use a number of seconds."),
        (None, TypeError, "use a number of seconds."),
    ],
)
def test_durations_are_checked(
    make: Callable[[Any], object], argument: str, seconds: Any, kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind) as told:
        make(seconds)
    assert str(told.value) == f"{argument}{seconds!r}): {problem}"


@pytest.mark.parametrize(
    ("messages", "kind", "problem"),
    [
        (-1, ValueError, "use 0 or more."),
        (10**10, ValueError, "use at most 1000000000."),
        (1.5, TypeError, "use a whole number."),
        (True, TypeError, "use a whole number."),
        ("3", TypeError, "use a whole number."),
    ],
)
def test_a_history_has_a_number_of_messages(messages: Any, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind) as told:
        HistoryLimits(messages=messages)
    assert str(told.value) == f"HistoryLimits(messages={messages!r}): {problem}"


async def sleep(_: object) -> None:
    raise AssertionError


class Sleeper:
    __call__ = staticmethod(sleep)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"url": MemoryBroker}, "Hub takes a URL, or a broker"),
        ({"history": 5}, r"history is a HistoryLimits\(messages=..., age_s=...\), or a mapping .*, not int\."),
        ({"on_drop": 5}, "on_drop is a function that takes a Dropped, and not a coroutine function"),
        ({"on_drop": sleep}, "on_drop is a function that takes a Dropped, and not a coroutine function"),
        ({"on_drop": partial(sleep)}, "on_drop is a function that takes a Dropped, and not a coroutine function"),
        ({"on_drop": Sleeper()}, "on_drop is a function that takes a Dropped, and not a coroutine function"),
        ({"media_handlers": 5}, r"media_handlers is a mapping, such as app\.ws_options\.media_handlers, not int\."),
        ({"media_handlers": []}, r"media_handlers is a mapping, such as app\.ws_options\.media_handlers, not list\."),
        ({"media_handlers": {"TEXT": JSONHandlerWS()}}, "'TEXT' is not"),
        (
            {"media_handlers": {WebSocketPayloadType.TEXT: 5}},
            r"with serialize\(\) and deserialize\(\); 5 is not",
        ),
        ({"media_handlers": {WebSocketPayloadType.TEXT: JSONHandlerWS}}, "with serialize.*; <class .* is not"),
    ],
)
def test_arguments_of_a_hub_are_checked(arguments: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        Hub(**arguments)


async def test_stopping_ends_listeners_and_subscriptions() -> None:
    hub = Hub()
    await hub.start()
    heard = []

    async def listen() -> None:
        async for event in hub.listen("room"):
            heard.append(event)

    listening = asyncio.create_task(listen())
    connection = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(connection), "room", member="ada"):
        await settle()
        await hub.publish("room", "x")
        await settle()
        await hub.stop()
        await asyncio.wait_for(listening, 20)
    assert [event.payload for event in heard] == ["x"]
    assert connection.taken == ["x"]


@pytest.mark.parametrize("action", ["start", "stop"])
async def test_a_hub_whose_start_or_stop_is_cancelled_stops_the_broker(action: str) -> None:
    class Hanging(MemoryBroker):
        """Takes for ever to begin, or to say goodbye."""

        async def start(self, sink: Sink) -> None:
            await super().start(sink)
            if action == "start":
                await asyncio.Event().wait()

        async def leave(self, room: str, member: str, device: str) -> bool:
            return await asyncio.Event().wait()

        async def stop(self) -> None:
            stopped.append(self)
            await super().stop()

    stopped: list[Hanging] = []
    before = asyncio.all_tasks()
    hub = Hub(Hanging())
    starting = asyncio.create_task(hub.start())
    await settle()
    if action == "start":
        starting.cancel()
    else:
        await hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="ada").__aenter__()
        stopping = asyncio.create_task(hub.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait({stopping})
        assert stopping.cancelled()
    await asyncio.wait({starting})
    await settle()
    assert len(stopped) == 1
    assert asyncio.all_tasks() == before
    await hub.stop()


async def test_a_room_without_followers_is_unsubscribed(hub: Hub) -> None:
    assert hub._dispatcher is not None
    rooms = hub._dispatcher.rooms
    async with hub.subscribe(ScriptedSocket(), "a", "b") as subscription:
        async with hub.subscribe(ScriptedSocket(), "a"):
            assert set(rooms) == {"a", "b"}
        await subscription.leave("b")
        await subscription.leave("b")
        await settle()
        assert set(rooms) == {"a"}
        await subscription.join("c")
        await subscription.join("c")
        assert set(rooms) == {"a", "c"}
    await settle()
    assert rooms == {}


async def test_a_room_that_cannot_be_unsubscribed_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryBroker):
        async def unsubscribe(self, room: str) -> None:
            await asyncio.sleep(0)
            if room == "a":
                raise KeyError("my mistake")
            await super().unsubscribe(room)

    broker = Broken()
    async with Hub(broker) as hub:
        assert hub._dispatcher is not None
        async with hub.subscribe(ScriptedSocket(), "a", "b", "c"):
            pass
        await settle()
        assert hub._dispatcher.rooms == {}
        assert broker.subscribed == {"a"}
    assert "Room 'a' cannot be unsubscribed" in caplog.text
    assert "my mistake" in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly since Python 3.12")
async def test_rooms_are_unsubscribed_with_eager_tasks_too() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    async with Hub() as hub:
        assert hub._dispatcher is not None
        for _ in range(2):
            async with hub.subscribe(ScriptedSocket(), "room"):
                assert set(hub._dispatcher.rooms) == {"room"}
            await settle()
            assert hub._dispatcher.rooms == {}


async def test_a_room_that_is_left_and_joined_at_once_stays(hub: Hub) -> None:
    connections = [ScriptedConnection() for _ in range(20)]

    async def visit(connection: ScriptedConnection) -> None:
        for _ in range(5):
            async with hub.subscribe(ScriptedSocket(connection), "room"):
                await asyncio.sleep(0)
        async with hub.subscribe(ScriptedSocket(connection), "room"):
            await hub.publish("other", "x")
            await settle()
            await barrier.wait()
            await hub.publish("room", "x")
            await barrier.wait()

    barrier = asyncio.Barrier(len(connections))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(visit(connection))
    assert [connection.taken for connection in connections] == [["x"] * len(connections)] * len(connections)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_subscriber_misses_nothing_when_another_is_cancelled_while_joining(cancelled: bool) -> None:
    """The first one's subscription is under way when it is cancelled, and the second comes at this very moment."""
    broker = Hesitant()
    connection = ScriptedConnection()
    async with Hub(broker) as hub:

        async def follow(connection: ScriptedConnection) -> None:
            async with hub.subscribe(ScriptedSocket(connection), "room"):
                inside.set()
                await asyncio.Event().wait()

        inside = asyncio.Event()
        first = asyncio.create_task(follow(ScriptedConnection()))
        await settle()
        if cancelled:
            first.cancel()
        # Before the room is given back, which a task does, and after it.
        followers = [asyncio.create_task(follow(c)) for c in (connection, ScriptedConnection())]
        await asyncio.sleep(0)
        broker.hesitate.set()
        await settle()
        followers.append(asyncio.create_task(follow(ScriptedConnection())))
        await asyncio.wait_for(inside.wait(), 20)
        await settle()
        await hub.publish("room", "x")
        assert connection.taken == ["x"]
        for task in (first, *followers):
            task.cancel()
        await asyncio.wait((first, *followers))


class Hesitant(MemoryBroker):
    """Takes its time to subscribe and to unsubscribe, as one on the network does."""

    def __init__(self) -> None:
        super().__init__()
        self.hesitate = asyncio.Event()

    async def subscribe(self, room: str) -> Position:
        await self.hesitate.wait()
        return await super().subscribe(room)

    async def unsubscribe(self, room: str) -> None:
        await self.hesitate.wait()
        await super().unsubscribe(room)


# Publishing


async def test_what_is_published_is_sent_as_it_is_or_serialized(hub: Hub) -> None:
    connection = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(connection), "room"):
        await hub.publish("room", "text")
        await hub.publish("room", b"data")
        await hub.publish("room", bytearray(b"array"))
        await hub.publish("room", {"a": "é"})
        await hub.publish("room", [1], WebSocketPayloadType.BINARY)
    assert connection.taken == ["text", b"data", b"array", '{"a": "é"}', b"\x91\x01"]


async def test_an_event_is_encoded_and_prepared_once_for_all_with_the_same_function(hub: Hub) -> None:
    calls = []

    def encode(event: Any) -> Any:
        calls.append(event)
        return event.media

    connections = [ScriptedConnection() for _ in range(10)]
    subscriptions = [
        hub.subscribe(ScriptedSocket(connection), "room", encode=encode if index % 2 else None)
        for index, connection in enumerate(connections)
    ]
    for subscription in subscriptions:
        await subscription.__aenter__()
    await hub.publish("room", {"a": 1})
    assert len(calls) == 1
    assert sum(connection.prepared for connection in connections) == 2
    assert all(connection.taken == ['{"a": 1}'] for connection in connections)
    for subscription in subscriptions:
        await subscription.__aexit__(None, None, None)


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
async def test_an_encode_function_that_fails_does_not_affect_others(
    hub: Hub, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Any) -> Any:
        raise kind("my mistake")

    good, bad = ScriptedConnection(), ScriptedConnection()
    async with (
        hub.subscribe(ScriptedSocket(bad), "room", encode=fail),
        hub.subscribe(ScriptedSocket(good), "room"),
    ):
        await hub.publish("room", "x")
    assert (good.taken, bad.taken, hub.stats.failed) == (["x"], [], 1)
    assert "my mistake" in caplog.text


@pytest.mark.parametrize("name", ["", "x" * 256, "é" * 128, "\ud800"])
async def test_names_have_a_length(hub: Hub, name: str) -> None:
    for call in (hub.publish(name, "x"), hub.present(name)):
        with pytest.raises(ValueError, match="The name of a room has 1 to 255 bytes"):
            await call
    for make in (lambda: hub.subscribe(ScriptedSocket(), name), lambda: hub.listen(name)):
        with pytest.raises(ValueError, match="The name of a room has 1 to 255 bytes"):
            make()
    async with hub.subscribe(ScriptedSocket(), "room") as subscription:
        with pytest.raises(ValueError, match="The name of a room has 1 to 255 bytes"):
            await subscription.join(name)
        assert set(subscription.positions) == {"room"}


async def test_arguments_of_subscribe_and_publish_are_checked(hub: Hub) -> None:
    """Not later, when somebody else publishes."""
    wrong: Any = "drop_oldest"
    for attempt in (
        lambda: Hub(policy=wrong),
        lambda: hub.subscribe(ScriptedSocket(), "room", policy=wrong),
        lambda: hub.listen("room", policy=wrong),
    ):
        with pytest.raises(TypeError, match=r"policy is a Policy, such as Policy\.drop_oldest\(\), not str\."):
            attempt()
    nothing: Any = object()
    with pytest.raises(TypeError, match="Hub takes a URL, or a broker"):
        Hub(nothing)

    class Unhashable(list[str]):
        def __call__(self, event: Any) -> str:
            raise AssertionError

    with pytest.raises(TypeError, match="encode has to be hashable"):
        hub.subscribe(ScriptedSocket(), "room", encode=Unhashable())
    number: Any = 42
    async with hub.subscribe(ScriptedSocket()) as subscription:
        with pytest.raises(TypeError, match="The name of a room is a str, not int"):
            await subscription.join(number)
    key: Any = 5
    with pytest.raises(TypeError, match="key is a str, not int"):
        await hub.publish("room", "x", key=key)
    with pytest.raises(ValueError, match="key cannot be sent as UTF-8"):
        await hub.publish("room", "x", key="\ud800")


@pytest.mark.parametrize("room", ["room", "of nobody"])
async def test_text_that_is_not_utf_8_is_a_value_error(hub: Hub, room: str) -> None:
    async with hub.subscribe(ScriptedSocket(), "room"):
        with pytest.raises(ValueError, match=r"The message cannot be sent as TEXT"):
            await hub.publish(room, "\ud800")
    with pytest.raises(ValueError, match=r"The name of a room has 1 to 255 bytes of UTF-8\."):
        await hub.publish("\ud800", "x")


async def test_another_thread_uses_publish_threadsafe(hub: Hub) -> None:
    async with hub.listen("room") as listener:
        position = await asyncio.to_thread(hub.publish_threadsafe, "room", {"from": "thread"}, timeout_s=20)
        event = await anext(aiter(listener))
        assert isinstance(event, Message)
        assert (event.media, event.position) == ({"from": "thread"}, position)
    errors: list[Exception] = []

    def publish_in_a_loop_of_its_own() -> None:
        try:
            asyncio.run(hub.publish("room", "x"))
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=publish_in_a_loop_of_its_own)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "from another thread use hub.publish_threadsafe" in str(errors[0])
    with pytest.raises(RuntimeError, match="would block its own event loop"):
        hub.publish_threadsafe("room", "x")


async def test_a_thread_that_times_out_learns_whether_the_message_was_published() -> None:
    class Slow(MemoryBroker):
        async def publish(self, room: str, payload: Any, *, key: str | None = None) -> Position:
            await asyncio.sleep(60)
            raise AssertionError

    class Failing(MemoryBroker):
        async def publish(self, room: str, payload: Any, *, key: str | None = None) -> Position:
            raise TimeoutError("my mistake")

    async with Hub(Slow()) as hub:
        with pytest.raises(TimeoutError, match=r"has not published the message within 0 s; it may still do so\."):
            await asyncio.to_thread(hub.publish_threadsafe, "room", "x", timeout_s=0)
    async with Hub(Failing()) as hub:
        with pytest.raises(TimeoutError, match="my mistake"):
            await asyncio.to_thread(hub.publish_threadsafe, "room", "x", timeout_s=20)


@pytest.mark.parametrize(
    ("timeout", "kind"), [(-1, ValueError), (nan, ValueError), (inf, ValueError), ("5", TypeError), (True, TypeError)]
)
async def test_an_invalid_timeout_publishes_nothing(hub: Hub, timeout: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^publish_threadsafe\(timeout_s="):
        await asyncio.to_thread(hub.publish_threadsafe, "room", "x", timeout_s=timeout)
    await settle()
    assert hub.stats.published == 0


async def test_an_unreachable_broker_is_one_clear_error() -> None:
    class Away(MemoryBroker):
        async def subscribe(self, room: str) -> Position:
            await asyncio.sleep(0)
            raise BrokerUnavailable("nobody answers at test://")

    async with Hub(Away()) as hub:

        async def subscribe() -> None:
            async with hub.subscribe(ScriptedSocket(), "room"):
                raise AssertionError

        for result in await asyncio.gather(*(subscribe() for _ in range(5)), return_exceptions=True):
            assert isinstance(result, BrokerUnavailable)
        assert hub._dispatcher is not None
        assert hub._dispatcher.rooms == {}


# Subscribing


async def test_a_subscription_needs_an_accepted_connection(hub: Hub) -> None:
    socket = ScriptedSocket()
    socket.unaccepted = True
    with pytest.raises(OperationNotAllowed, match="Accept the WebSocket before"):
        await hub.subscribe(socket, "room").__aenter__()


async def test_a_subscription_is_entered_once(hub: Hub) -> None:
    subscription = hub.subscribe(ScriptedSocket(), "room")
    async with subscription:
        with pytest.raises(RuntimeError, match="entered once"):
            await subscription.__aenter__()


@pytest.mark.parametrize(
    ("rooms", "since", "error"),
    [
        (("a", "b"), Position("e", 1), "One position is for one room"),
        (("a",), {"b": Position("e", 1)}, "rooms that are not subscribed: b"),
    ],
)
async def test_since_has_to_fit_the_rooms(hub: Hub, rooms: tuple[str, ...], since: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        hub.subscribe(ScriptedSocket(), *rooms, since=since)


@pytest.mark.parametrize(
    ("position", "kind", "problem"),
    [
        ("e:1", TypeError, r"Positions?\b.*, not str"),
        (("e", 1), TypeError, r"Positions?\b.*, not tuple"),
        (Position("e", "1"), TypeError, "with a str and an int, not str and str"),
        (Position("e", True), TypeError, "with a str and an int, not str and bool"),
        (Position(None, 1), TypeError, "with a str and an int, not NoneType and int"),
        (Position("e", -1), ValueError, r"make it with Position\.parse\(\)"),
        (Position("e", 2**63), ValueError, r"make it with Position\.parse\(\)"),
        (Position("\ud800", 1), ValueError, r"make it with Position\.parse\(\)"),
    ],
)
async def test_since_is_a_position(hub: Hub, position: Any, kind: type[Exception], problem: str) -> None:
    for since in (position, {"room": position}):
        with pytest.raises(kind, match=rf"^since .*{problem}"):
            hub.subscribe(ScriptedSocket(), "room", since=since)
        with pytest.raises(kind, match=rf"^since .*{problem}"):
            hub.listen("room", since=since)
    async with hub.subscribe(ScriptedSocket()) as subscription:
        with pytest.raises(kind, match=rf"^since is a Position.*{problem}"):
            await subscription.join("room", since=position)
        assert subscription.positions == {}


async def test_since_names_rooms_that_are_subscribed(hub: Hub) -> None:
    with pytest.raises(ValueError, match="rooms that are not subscribed: 5, b"):
        hub.subscribe(ScriptedSocket(), "a", since={"b": Position("e", 1), 5: Position("e", 1)})


async def test_without_a_room_there_is_no_position(hub: Hub) -> None:
    async with hub.subscribe(ScriptedSocket()) as subscription:
        with pytest.raises(RuntimeError, match="has no room yet, or none any more: there is no position"):
            _ = subscription.position


@pytest.mark.parametrize(("ws", "missing"), [(5, "send_text"), ("room", "send_text"), (MemoryBroker(), "send_text")])
async def test_only_a_websocket_can_subscribe(hub: Hub, ws: Any, missing: str) -> None:
    with pytest.raises(TypeError, match=rf"takes a WebSocket first: .* has no {missing}\(\)\."):
        hub.subscribe(ws, "room")


async def test_several_rooms_have_a_position_each(hub: Hub) -> None:
    first = await hub.publish("a", "1")
    await hub.publish("a", "2")
    connection = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(connection), "a", "b", since={"a": first}) as subscription:
        assert subscription.positions == {"a": first, "b": Position(first.epoch, 0)}
        await settle()
        assert subscription.positions["a"].offset == 2
        assert (connection.taken, subscription.gap) == (["2"], False)
        with pytest.raises(RuntimeError, match="has 2 rooms"):
            _ = subscription.position


async def test_what_the_responder_sends_first_arrives_before_the_replay(hub: Hub) -> None:
    first = await hub.publish("room", "1")
    await hub.publish("room", "2")
    connection = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(connection), "room", since=first) as subscription:
        connection.try_send_prepared(connection.prepare(f"welcome {subscription.position}"))
        await settle()
    assert connection.taken == [f"welcome {first}", "2"]


async def test_the_subscription_ends_with_the_connection(hub: Hub) -> None:
    assert hub._dispatcher is not None
    connection = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(connection), "room", member="ada"):
        assert await hub.present("room") == {"ada": None}
        connection.disconnect()
        await settle()
        assert await hub.present("room") == {}
        assert hub._dispatcher.rooms == {}
        await hub.publish("room", "x")
    assert connection.taken == []


async def test_a_message_too_large_for_the_extension_is_sent_all_the_same(hub: Hub) -> None:
    connection = ScriptedConnection(largest=10)
    socket = ScriptedSocket(connection)
    async with hub.subscribe(socket, "room"):
        for payload in ("small", "x" * 11, "y"):
            await hub.publish("room", payload)
            await settle()
    assert (connection.taken, socket.sent) == (["small", "y"], ["x" * 11])


async def test_without_the_extension_a_task_sends_only_while_something_waits(hub: Hub) -> None:
    assert hub._dispatcher is not None
    tasks = len(hub._dispatcher._tasks)
    socket = SlowSocket()
    async with hub.subscribe(socket, "room"):
        for number in range(3):
            await hub.publish("room", str(number))
        await settle()
        assert len(hub._dispatcher._tasks) == tasks + 1
        socket.take(2)
        await settle()
        assert socket.sent == ["0", "1"]
        socket.take(1)
        await settle()
        assert len(hub._dispatcher._tasks) == tasks
    assert socket.sent == ["0", "1", "2"]


# Slow subscribers


@pytest.mark.parametrize("extension", [True, False], ids=["extension", "plain"])
async def test_every_drop_is_counted_and_reported_and_the_first_is_logged(
    extension: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Dropped] = []
    async with Hub(on_drop=told.append) as hub:
        connection = ScriptedConnection()
        socket = ScriptedSocket(connection) if extension else SlowSocket()
        connection.stall()
        async with hub.subscribe(socket, "room", policy=Policy.drop_oldest(max_messages=2)) as subscription:
            # Without the extension, one message is in the server's hands.
            for number in range(5 if extension else 6):
                await hub.publish("room", str(number))
                await settle()
            assert subscription.dropped == {"room": 3}
            assert subscription.dropped["other"] == 0
            assert hub.stats.dropped == 3
            assert told == [Dropped("test:1", "room", 1, "drop_oldest")] * 3
            if isinstance(socket, SlowSocket):
                socket.take(10)
            connection.resume()
            await settle()
    assert (connection.taken if extension else socket.sent[1:]) == (["3", "4"] if extension else ["4", "5"])
    assert len([r for r in caplog.records if "does not keep up" in r.message and r.levelno == logging.WARNING]) == 1


async def test_a_drop_is_reported_after_the_delivery() -> None:
    """The function may publish, in a task that starts eagerly: what follows must not overtake."""
    told: list[tuple[Dropped, int]] = []
    hub = Hub(on_drop=lambda dropped: told.append((dropped, hub.stats.delivered)))
    async with hub:
        connections = [ScriptedConnection(), ScriptedConnection()]
        policies = [Policy.drop_oldest(max_messages=1), Policy.disconnect()]
        async with contextlib.AsyncExitStack() as stack:
            for connection, policy in zip(connections, policies, strict=True):
                subscription = hub.subscribe(ScriptedSocket(connection), "room", policy=policy)
                await stack.enter_async_context(subscription)
            await settle()
            connections[0].stall()
            await hub.publish("room", "1")
            await hub.publish("room", "2")
            assert told == []
            await settle()
            # The message that replaced it still waits.
            assert told == [(Dropped("test:1", "room", 1, "drop_oldest"), 2)]


@pytest.mark.parametrize("kind", [LookupError, SystemExit])
async def test_an_on_drop_function_that_fails_does_not_flood_the_log(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def on_drop(dropped: Dropped) -> None:
        told.append(dropped)
        raise kind("my mistake")

    told: list[Dropped] = []
    connection = ScriptedConnection()
    async with (
        Hub(on_drop=on_drop) as hub,
        hub.subscribe(ScriptedSocket(connection), "room", policy=Policy.drop_oldest(max_messages=1)),
    ):
        connection.stall()
        for number in range(10):
            await hub.publish("room", str(number))
            await settle()
    assert sum(dropped.count for dropped in told) == 9
    (complaint,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "on_drop() has failed" in complaint.getMessage()
    assert complaint.exc_info


@pytest.mark.parametrize("extension", [True, False], ids=["extension", "plain"])
async def test_disconnecting_closes_with_1013_and_leaves_the_room(hub: Hub, extension: bool) -> None:
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection) if extension else SlowSocket()
    connection.stall()
    policy = Policy.disconnect(max_lag_s=0.05)
    async with hub.subscribe(socket, "room", member="ada", policy=policy) as subscription:
        for number in range(5):
            await hub.publish("room", str(number))
        await eventually(lambda: socket.close_code)
        assert (socket.close_code, socket.close_reason) == (1013, "client too slow")
        # Without the extension, the server has taken one message.
        assert subscription.dropped == {"room": 5 if extension else 4}
        assert hub.stats.disconnected == 1
        await settle()
        assert await hub.present("room") == {}


@pytest.mark.parametrize("extension", [True, False], ids=["extension", "plain"])
async def test_a_burst_makes_no_client_too_slow(hub: Hub, extension: bool) -> None:
    """The verdict comes after the server has tried to send; here, the client takes everything at once."""
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection if extension else None)
    policy = Policy.disconnect(max_bytes=1000)
    async with hub.subscribe(socket, "room", policy=policy):
        connection.stall()
        asyncio.get_running_loop().call_soon(connection.resume)
        for _ in range(5):
            await asyncio.gather(*(hub.publish("room", "x" * 100) for _ in range(400)))
        await settle()
        assert len(connection.taken if extension else socket.sent) == 2000
        assert (hub.stats.delivered, hub.stats.dropped, hub.stats.disconnected) == (2000, 0, 0)


@pytest.mark.parametrize("make", [Policy.drop_oldest, Policy.drop_newest])
async def test_a_burst_makes_nobody_miss_messages_who_takes_them(hub: Hub, make: Any) -> None:
    socket = ScriptedSocket()
    async with hub.subscribe(socket, "room", policy=make(max_messages=10)):
        await asyncio.gather(*(hub.publish("room", str(number)) for number in range(400)))
        await settle()
        assert len(socket.sent) == 400


async def test_bytes_that_a_client_does_not_take_disconnect_it(hub: Hub) -> None:
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection)
    async with hub.subscribe(socket, "room", policy=Policy.disconnect(max_bytes=1000)):
        await settle()
        connection.stall()
        await hub.publish("room", "x" * 5000)
        await settle()
        assert socket.close_code is None
        await hub.publish("room", "x")
        await settle()
        assert (socket.close_code, hub.stats.dropped) == (1013, 2)


async def test_a_process_that_stands_still_disconnects_no_client(hub: Hub) -> None:
    connection = ScriptedConnection()
    socket = ScriptedSocket(connection)
    async with hub.subscribe(socket, "room", policy=Policy.disconnect(max_lag_s=0.2)):
        await settle()
        connection.stall()
        await hub.publish("room", "x")
        time.sleep(0.5)  # noqa: ASYNC251
        # The client was writable all the time; the event loop learns it late.
        asyncio.get_running_loop().call_later(0.05, connection.resume)
        await eventually(lambda: connection.taken)
        assert socket.close_code is None


async def test_each_message_is_counted_once_for_each_subscriber(hub: Hub) -> None:
    def fail(event: Any) -> str:
        raise LookupError

    fast, slow, gone, late = (ScriptedConnection() for _ in range(4))
    conflate, disconnect = Policy.conflate(), Policy.disconnect(max_lag_s=0.05)
    async with (
        hub.subscribe(ScriptedSocket(fast), "room"),
        hub.subscribe(ScriptedSocket(fast), "room", encode=fail),
        hub.subscribe(ScriptedSocket(slow), "room", policy=conflate),
        hub.subscribe(ScriptedSocket(gone), "room"),
        hub.subscribe(ScriptedSocket(late), "room", policy=disconnect) as left,
    ):
        await settle()
        for connection in (slow, gone, late):
            connection.stall()
        for number in range(10):
            await hub.publish("room", str(number), key=str(number % 3))
        assert (hub.stats.waiting, hub.stats.failed, hub.stats.delivered, hub.stats.dropped) == (23, 10, 10, 7)
        gone.disconnect()
        assert hub.stats.discarded == 10
        assert 0 < left.lag_s <= hub.stats.lag_s
        await eventually(lambda: hub.stats.disconnected)
        slow.resume()
        await settle()
        stats = hub.stats
        assert (stats.delivered, stats.dropped, stats.discarded, stats.failed) == (13, 17, 10, 10)
        assert (stats.waiting, stats.lag_s) == (0, 0.0)


async def test_encode_functions_that_are_made_for_each_connection_are_logged_once(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            encode = (lambda n: lambda event: f"{n}")(number)
            await stack.enter_async_context(hub.subscribe(ScriptedSocket(), "room", encode=encode))
            await stack.enter_async_context(hub.subscribe(ScriptedSocket(), "fine", encode=tell))
            await hub.publish("room", "x")
            await hub.publish("fine", "x")
    (line,) = [record.getMessage() for record in caplog.records if "encode functions" in record.getMessage()]
    assert line.startswith("Room 'room' encodes each event")


# Two hubs


class BothHubs:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media = [await req.context.hub.present("room"), await req.context.hubs["alerts"].present("room")]

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        async with req.context.hubs["alerts"].subscribe(ws, "room"):
            await req.context.hub.publish("room", "not this")
            await req.context.hubs["alerts"].publish("room", "this")
            await ws.wait_disconnected()


async def test_an_application_may_have_several_hubs() -> None:
    app = App(middleware=[Hub(), Hub(name="alerts")])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", BothHubs())
    async with Client(app) as client:
        assert (await client.simulate_get("/")).json == [{}, {}]
        async with client.websocket("/") as ws:
            assert await ws.receive_text() == "this"


@pytest.mark.parametrize("hubs", [[Hub(), Hub()], [Hub(name="a"), Hub(name="a")]])
async def test_two_hubs_have_different_names(hubs: list[Hub]) -> None:
    app = App(middleware=hubs)
    with pytest.raises(RuntimeError, match="two hubs with"):
        async with Client(app):
            pass


@pytest.mark.parametrize("name", ["", 5, b"a"])
def test_the_name_of_a_hub_is_text(name: Any) -> None:
    with pytest.raises(TypeError, match="name is a str"):
        Hub(name=name)


# Listening


async def test_listening_begins_with_the_block_and_ends_with_the_loop(hub: Hub) -> None:
    assert hub._dispatcher is not None
    async with hub.listen("a", "b") as listener:
        await hub.publish("a", {"n": 1})
        await hub.publish("b", b"2")
        heard = []
        async for event in listener:
            heard.append((event.room, event.payload if isinstance(event, Message) else None))
            if len(heard) == 2:
                break
    assert heard == [("a", '{"n": 1}'), ("b", b"2")]
    first = await hub.publish("room", "1")
    await hub.publish("room", "2")
    async for event in hub.listen("room", since=first):
        assert isinstance(event, Message)
        assert event.payload == "2"
        break
    await settle()
    assert hub._dispatcher.rooms == {}


async def test_a_listener_receives_a_gap_in_its_place(hub: Hub) -> None:
    position = await hub.publish("room", "1")
    async with hub.listen("room", since=Position("another", 7)) as listener:
        assert listener.gap
        events = aiter(listener)
        gap, message = await anext(events), await anext(events)
        assert isinstance(gap, Gap)
        assert gap.position == Position(position.epoch, 0)
        assert gap.reason == "the broker does not know the position given, or not any more"
        assert isinstance(message, Message)
        assert message.position == position
        await events.aclose()


async def test_a_listener_that_does_not_keep_up_raises_an_error(hub: Hub) -> None:
    async with hub.listen("room", policy=Policy.disconnect(max_lag_s=0.01)) as listener:
        for number in range(3):
            await hub.publish("room", str(number))
        await eventually(lambda: hub.stats.disconnected)
        with pytest.raises(ListenerTooSlow, match="policy disconnect, 3 messages lost"):
            await anext(aiter(listener))


# Presence


async def test_two_devices_of_one_member_join_and_leave(hub: Hub) -> None:
    watcher = ScriptedConnection()
    async with hub.subscribe(ScriptedSocket(watcher), "room", encode=tell):
        async with hub.subscribe(ScriptedSocket(), "room", member="ada", info={"name": "Ada"}):
            async with hub.subscribe(ScriptedSocket(), "room", member="ada", info={"name": "Ada"}):
                assert await hub.present("room") == {"ada": {"name": "Ada"}}
            assert await hub.present("room") == {"ada": {"name": "Ada"}}
            assert await hub.present("elsewhere") == {}
        assert await hub.present("room") == {}
        await settle()
    assert watcher.taken == [
        "+ada {'name': 'Ada'}",
        "=ada {'name': 'Ada'} 2",
        "=ada {'name': 'Ada'} 1",
        "-ada",
    ]


async def test_the_members_of_a_dead_process_leave_and_are_announced_once() -> None:
    server = MemoryBroker()
    dead, alive = Hub(MemoryBroker(shares=server), lease_s=0.4), Hub(MemoryBroker(shares=server), lease_s=0.4)
    await dead.start()
    async with alive:
        watcher = ScriptedConnection()
        async with (
            alive.subscribe(ScriptedSocket(watcher), "room", encode=tell),
            alive.subscribe(ScriptedSocket(), "room", member="stays"),
        ):
            await dead.subscribe(ScriptedSocket(), "room", member="ghost").__aenter__()
            assert set(await alive.present("room")) == {"stays", "ghost"}
            # What a SIGKILL leaves: nothing renews, nothing says goodbye.
            assert dead._dispatcher is not None
            for task in dead._dispatcher._tasks:
                task.cancel()
            async with asyncio.timeout(20):
                while "-ghost" not in watcher.taken:
                    await asyncio.sleep(0.01)
            assert set(await alive.present("room")) == {"stays"}
        await settle()
        assert watcher.taken.count("-ghost") == 1
    await dead.stop()


async def test_members_of_a_process_that_was_away_join_again() -> None:
    server = MemoryBroker()
    async with Hub(MemoryBroker(shares=server), lease_s=0.2) as hub:
        watcher = ScriptedConnection()
        async with (
            hub.subscribe(ScriptedSocket(watcher), "room", encode=tell),
            hub.subscribe(ScriptedSocket(), "room", member="ada", info=1),
        ):
            for process in list(server._store.presence.leases):
                server._remove_process(process)
            async with asyncio.timeout(20):
                while watcher.taken.count("+ada 1") < 2:
                    await asyncio.sleep(0.01)
            assert await hub.present("room") == {"ada": 1}


@pytest.mark.parametrize("info", [b"\xff", b"", b"{", b"[" * 100_000])
async def test_info_that_is_not_json_is_none(info: bytes, caplog: pytest.LogCaptureFixture) -> None:
    class Shared(MemoryBroker):
        hub: Sink

        async def start(self, sink: Sink) -> None:
            self.hub = sink
            await super().start(sink)

    broker = Shared()
    connection = ScriptedConnection()
    async with Hub(broker) as hub, hub.subscribe(ScriptedSocket(connection), "room", encode=tell):
        broker.hub.joined("room", "ada", info, 1)
        broker.hub.joined("room", "bob", b"1", 1)
        assert connection.taken == ["+ada None", "+bob 1"]
    (record,) = caplog.records
    assert record.message == "The info of member 'ada' of room 'room' is not JSON"


async def test_info_needs_a_member(hub: Hub) -> None:
    with pytest.raises(ValueError, match="give member too"):
        hub.subscribe(ScriptedSocket(), "room", info={})
    with pytest.raises(TypeError, match="not JSON serializable"):
        hub.subscribe(ScriptedSocket(), "room", member="ada", info=object())


async def test_a_client_that_disconnects_while_joining_has_a_position() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub:
        position = await hub.publish("room", "x")
        async with hub.subscribe(ScriptedSocket(connection), "room") as subscription:
            connection.disconnect()
            assert subscription.position == position
            await hub.publish("room", "y")
            assert subscription.positions == {"room": position}
        assert subscription.position == position


@pytest.mark.parametrize("encode", [5, "text", object()])
async def test_encode_is_a_function(encode: Any) -> None:
    async with Hub() as hub:
        with pytest.raises(TypeError, match="encode is a function"):
            hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", encode=encode)


async def test_encode_is_not_a_coroutine_function() -> None:
    async def encode(event: object) -> str:
        return "x"

    async with Hub() as hub:
        with pytest.raises(TypeError, match="not a coroutine function"):
            hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", encode=encode)


async def test_an_encode_function_that_always_fails_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def encode(event: object) -> str:
        raise KeyError("name")

    async with Hub() as hub, hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", encode=encode):
        for _ in range(10):
            await hub.publish("room", "x")
        assert hub.stats.failed == 10
    log_throttle = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(log_throttle) == 1
    assert "hub.stats.failed counts" in log_throttle[0].getMessage()


async def test_each_function_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail_with(key: str) -> Callable[[object], str]:
        def encode(event: object) -> str:
            raise KeyError(key)

        return encode

    def another(event: object) -> str:
        raise KeyError("another")

    async with Hub() as hub, contextlib.AsyncExitStack() as stack:
        # One for each connection, and one that the hub must not overlook because of them.
        for encode in (*(fail_with(str(number)) for number in range(100)), another):
            await stack.enter_async_context(hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", encode=encode))
        await hub.publish("room", "x")
        assert hub.stats.failed == 101
    log_throttle = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [str(record.exc_info[1]) for record in log_throttle if record.exc_info] == ["'0'", "'another'"]


async def test_a_hub_that_has_stopped_says_so() -> None:
    hub = Hub()
    async with hub:
        pass
    with pytest.raises(RuntimeError, match="has stopped"):
        await hub.publish("room", "x")


async def test_all_who_are_present_leave_with_the_process(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(MemoryBroker):
        async def leave(self, room: str, member: str, device: str) -> bool:
            await asyncio.sleep(0.01)
            return await super().leave(room, member, device)

    broker = Slow("memory://", history=HistoryLimits())
    with caplog.at_level(logging.INFO, "falconws.hub"):
        async with Hub(broker) as hub:
            for number in range(2000):
                subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=f"m{number}")
                await subscription.__aenter__()
    # One after the other would take 20 s.
    assert await broker.members("room") == {}
    assert "by lease" not in caplog.text


async def test_the_broker_is_asked_for_its_health_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second lasts for as long as this test, however busy the machine is.
    monkeypatch.setattr("falconws.hub.dispatcher._HEALTH_S", 60.0)

    class Counting(MemoryBroker):
        asked = 0

        async def health(self) -> Health:
            self.asked += 1
            await asyncio.sleep(0)
            return await super().health()

    broker = Counting()
    async with Hub(broker) as hub:
        assert all(health.ok for health in await asyncio.gather(*(hub.health() for _ in range(50))))
        await hub.health()
        assert broker.asked == 1
        assert hub._dispatcher is not None
        hub._dispatcher._last_health = None
        await hub.health()
        assert broker.asked == 2


async def test_the_rooms_of_this_process_are_those_that_are_followed() -> None:
    hub = Hub(name="alerts")
    assert (hub.name, hub.local_rooms) == ("alerts", [])
    async with hub:
        await hub.publish("unheard", "a")
        first = hub.subscribe(ScriptedSocket(ScriptedConnection()), "b", "a")
        async with first, hub.subscribe(ScriptedSocket(ScriptedConnection()), "b"):
            assert hub.local_rooms == ["a", "b"]
        assert hub.local_rooms == []
    assert hub.local_rooms == []
