"""What the page on scaling out shows, on a real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

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


def test_publishing_from_the_command_line(valkey: Valkey, tmp_path: Path) -> None:
    Shell(tmp_path).play(session("publish").replace("redis://localhost:6379/0\n", f"{valkey.url}/0\n", 1))
