"""The snippets of the page on scaling out work with a real broker."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import falconws
from falconws.testing import Client
from tests.docs.shell import Shell, session
from tests.e2e.hub.servers import Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


async def test_two_processes_are_one_hub_and_clients_resume(
    snippet: Callable[[str], ModuleType], valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_HUB_URL", valkey.url)
    async with Client(snippet("scale_out").app) as one, Client(snippet("scale_out").app) as other:
        async with other.websocket("/rooms/42") as ws:
            welcome = await ws.receive_media()
            assert welcome["reload"] is False
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
        await one.simulate_post("/rooms/42", json={"text": "missed"})
        async with one.websocket(f"/rooms/42?since={welcome['position']}") as ws:
            assert await ws.receive_media() == {"position": welcome["position"], "reload": False}
            assert await ws.receive_text() == "hello"
            assert await ws.receive_media() == {"text": "missed"}


async def test_a_loop_starts_when_its_broker_is_available(
    snippet: Callable[[str], ModuleType], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = Valkey(tmp_path / "late")
    late.kill()
    module = snippet("fan_out")
    hub = falconws.Hub(late.url, timeout_s=0.2)
    word_count = module.WordCount(hub)
    attempts = 0
    listen = hub.listen

    def counted(*rooms: str) -> object:
        nonlocal attempts
        attempts += 1
        return listen(*rooms)

    hub.listen = counted
    try:
        async with asyncio.timeout(20), Client(falconws.App(middleware=[hub, word_count])):
            while attempts < 2:
                await asyncio.sleep(0.01)
            late.start()
            while word_count.totals["words"] < 3:
                with contextlib.suppress(falconws.BrokerUnavailable):
                    await hub.publish("reviews", {"said": "well done indeed"})
                await asyncio.sleep(0.05)
    finally:
        late.stop()
    assert "Task count words" not in caplog.text


def test_publishing_from_the_command_line(valkey: Valkey, tmp_path: Path) -> None:
    Shell(tmp_path).play(session("publish").replace("redis://localhost:6379/0\n", f"{valkey.url}/0\n", 1))


def test_a_program_without_an_event_loop_publishes(
    valkey: Valkey, snippet: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_URL", valkey.url)
    module = snippet("publish_script")
    module.order_was_paid(17)
    module.announce(["one", "two"])
    module.publisher.close()

    async def read() -> list[str | bytes]:
        async with falconws.Hub(valkey.url) as hub:
            return [message.payload for room in ("orders", "news") for message in await hub.history(room)]

    assert asyncio.run(read()) == ['{"paid": 17}', "one", "two"]
