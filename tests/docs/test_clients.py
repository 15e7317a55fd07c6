"""The clients of the pages work: those on reconnecting resume where they stopped, those of all languages take part."""

import asyncio
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from falconws.testing import LiveServer

CLIENTS = Path(__file__).parents[2] / "docs" / "snippets" / "clients"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TIMEOUT_S = 20.0

Load = Callable[[str], ModuleType]


def load_client() -> Any:
    spec = importlib.util.spec_from_file_location("room_client", CLIENTS / "room_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_page_resumes_after_a_reconnect(snippet: Load) -> None:
    hub_app = snippet("fan_out")
    with LiveServer(hub_app.app) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_S * 1000)
        page.goto(f"{server.url}/ready")
        page.add_script_tag(content=(CLIENTS / "room_client.js").read_text())
        # The reconnect waits until a message was published.
        page.evaluate(
            """url => {
                window.events = [];
                window.setTimeout = (callback) => { window.due = callback; };
                window.client = new RoomClient(url, (event) => events.push(event.data ?? event.type));
            }""",
            f"{server.ws_url}/rooms/42",
        )
        page.wait_for_function("events.length === 1")
        hub_app.hub.publish_threadsafe("42", {"n": 1}, timeout_s=TIMEOUT_S)
        page.wait_for_function("events.length === 2")
        page.evaluate("client.socket.close(4000)")
        page.wait_for_function("window.due !== undefined")
        hub_app.hub.publish_threadsafe("42", {"n": 2}, timeout_s=TIMEOUT_S)
        page.evaluate("due()")
        page.wait_for_function("events.length === 4")
        assert page.evaluate("events") == ["welcome", {"n": 1}, "welcome", {"n": 2}]
        page.evaluate("window.due = undefined; client.reconnect({code: 1000})")
        assert page.evaluate("window.due === undefined")
        browser.close()


async def test_a_python_client_resumes_after_a_reconnect(snippet: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_app, client = snippet("fan_out"), load_client()
    monkeypatch.setattr(client, "FIRST_DELAY_S", 0.0)
    connections: list[ClientConnection] = []
    events: asyncio.Queue[object] = asyncio.Queue()

    class Connect(connect):
        async def __aenter__(self) -> ClientConnection:
            connections.append(await super().__aenter__())
            return connections[-1]

    monkeypatch.setattr(client, "connect", Connect)

    async def handle(event: dict[str, Any]) -> None:
        await events.put(event.get("data", event["type"]))

    async def publish(number: int) -> None:
        await asyncio.to_thread(hub_app.hub.publish_threadsafe, "42", {"n": number}, timeout_s=TIMEOUT_S)

    with LiveServer(hub_app.app) as server:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            following = group.create_task(client.follow(f"{server.ws_url}/rooms/42", handle))
            assert await events.get() == "welcome"
            await publish(1)
            assert await events.get() == {"n": 1}
            await connections[0].close(4000)
            await publish(2)
            assert [await events.get() for _ in range(2)] == ["welcome", {"n": 2}]
            await connections[1].close(1000)
            await following


async def test_a_python_client_does_not_retry_a_refusal(snippet: Load) -> None:
    async def handle(event: dict[str, Any]) -> None:
        raise AssertionError(event)

    with LiveServer(snippet("authenticate").app) as server, pytest.raises(InvalidStatus):
        async with asyncio.timeout(TIMEOUT_S):
            await load_client().follow(f"{server.ws_url}/chat", handle)


PROGRAMS = {
    "Java": ["java", "Chat.java"],
    # Node.js 20 has it behind an option, newer versions without.
    "JavaScript": ["node", "--experimental-websocket", "chat.mjs"],
    "Python": [sys.executable, "chat_client.py"],
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_client_in_any_language_takes_part_in_a_typed_room(snippet: Load, language: str) -> None:
    program, *arguments = PROGRAMS[language]
    if shutil.which(program) is None:
        pytest.skip("Node.js and npm are not installed" if program == "node" else f"{program} is not installed")
    with LiveServer(snippet("typed_chat").app) as server:
        command = [program, *arguments, f"{server.ws_url}/rooms/lobby?name=ada"]
        done = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=100, check=True)
    lines = done.stdout.splitlines()
    assert '"type":"welcome"' in lines[0]
    assert any('"said"' in line and f"hello from {language}" in line for line in lines)
    if language != "Python":
        assert lines[-1] == "closed with 1000"
