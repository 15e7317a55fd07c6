"""``falconws.Publisher`` in programs without an event loop: threads, forks, and brokers that are away."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from falconws import BrokerUnavailable, Hub, Position, Publisher
from falconws.typed import Left
from tests.e2e.hub.servers import BrokerServer
from tests.ports import free_port
from tests.runtime.typed.conversations import Chat, Said

BROKERS = ["valkey", "nats"]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    server: BrokerServer = request.getfixturevalue(request.param)
    return server.url


def payloads(url: str, room: str) -> list[str | bytes]:
    async def read() -> list[str | bytes]:
        async with Hub(url) as hub:
            return [message.payload for message in await hub.history(room, limit=100)]

    return asyncio.run(read())


@contextmanager
def no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_script_publishes(url: str, request: pytest.FixtureRequest) -> None:
    room = request.node.name
    with no_threads_left(), Publisher(url) as publisher:
        first = publisher.publish(room, {"number": 1})
        assert isinstance(first, Position)
        assert publisher.publish(room, "typing", keep=False) is None
        assert len(publisher.publish_many(room, ["2", b"3"])) == 2
    assert payloads(url, room) == ['{"number": 1}', "2", b"3"]
    # After close() it connects again.
    assert publisher.publish(room, "4") is not None
    publisher.close()
    publisher.close()


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_script_publishes_typed_messages(url: str, request: pytest.FixtureRequest) -> None:
    room = request.node.name

    async def read() -> list[Said]:
        async with Hub(url) as hub:
            return [message for message in await Chat.history(hub, room) if isinstance(message, Said)]

    said = [Said(name="ops", text=text) for text in ("one", "two", "three")]
    with Publisher(url) as publisher:
        positions = [Chat.publish(publisher, room, said[0])]
        positions += Chat.publish_many(publisher, room, said[1:], key=lambda message: "news")
        Chat.publish_ephemeral(publisher, room, Left("ada"))
    assert [(each.text, each.position) for each in asyncio.run(read())] == [
        (each.text, str(position)) for each, position in zip(said, positions, strict=True)
    ]


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_threads_share_a_publisher(url: str, request: pytest.FixtureRequest) -> None:
    room = request.node.name
    with no_threads_left(), Publisher(url) as publisher:

        def publish(first: int) -> None:
            for number in range(first, first + 10):
                publisher.publish(room, str(number))

        threads = [threading.Thread(target=publish, args=(first,)) for first in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(int, payloads(url, room))) == list(range(80))


def _publish(publisher: Publisher, room: str, text: str) -> None:
    publisher.publish(room, text)
    publisher.close()


@pytest.mark.parametrize("url", BROKERS, indirect=True)
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_connects_by_itself(url: str, request: pytest.FixtureRequest) -> None:
    room = request.node.name
    with Publisher(url) as publisher:
        publisher.publish(room, "parent")
        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=_publish, args=(publisher, room, f"child {n}")) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(20)
            assert child.exitcode == 0
        publisher.publish(room, "parent again")
    texts = payloads(url, room)
    assert (texts[0], texts[-1]) == ("parent", "parent again")
    assert sorted(map(str, texts[1:-1])) == ["child 0", "child 1", "child 2"]


@pytest.mark.parametrize("scheme", ["redis", "nats"])
def test_a_broker_that_is_away_is_one_error_in_time(scheme: str) -> None:
    with (
        no_threads_left(),
        Publisher(f"{scheme}://127.0.0.1:{free_port()}", timeout_s=0.3) as publisher,
        pytest.raises(BrokerUnavailable),
    ):
        publisher.publish("room", "x")


async def test_an_event_loop_is_not_blocked() -> None:
    publisher = Publisher("redis://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="would block this event loop"):
        publisher.publish("room", "x")


@pytest.mark.parametrize("url", ["memory://", "http://x", "redis+x://"])
def test_the_url_is_checked_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Publisher(url)
