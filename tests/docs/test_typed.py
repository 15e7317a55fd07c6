"""The snippets of the page on typed messages work as the page tells."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.client import connect

from falconws.testing import LiveServer
from tests.docs.shell import Shell

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"
Load = Callable[[str], ModuleType]


@pytest.fixture
def client(snippet: Load, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module typed_client, with the classes of the server."""
    monkeypatch.setitem(sys.modules, "typed_chat", snippet("typed_chat"))
    return snippet("clients/typed_client")


async def test_a_typed_client_talks_in_a_room(client: Any) -> None:
    with LiveServer(sys.modules["typed_chat"].app) as server:
        said = await client.chat(server.ws_url)
    assert (said.name, said.text) == ("ada", "hello")
    assert said.position is not None


async def test_a_call_returns_its_reply_or_the_code_of_its_error(client: Any) -> None:
    with LiveServer(sys.modules["typed_chat"].app) as server:
        assert await client.count(server.ws_url, "two words") == 2
        assert await client.count(server.ws_url, "x" * 1001) == "too_long"


async def test_an_invalid_message_is_answered_and_the_connection_goes_on(snippet: Load) -> None:
    with LiveServer(snippet("typed_chat").app) as server:
        async with connect(f"{server.ws_url}/rooms/1?name=ada") as ws:
            await ws.send('{"type": "say", "text": ""}')
            while (answer := json.loads(await ws.recv()))["type"] != "error":
                pass
            assert (answer["code"], answer["path"], answer["received"]) == ("invalid_message", "$.text", "say")
            await ws.send('{"type": "say", "text": "hello"}')
            while json.loads(await ws.recv())["type"] != "said":
                pass


def test_the_document_names_every_message(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "typed_chat.py").write_text((SNIPPETS / "typed_chat.py").read_text())
    document = json.loads(shell.run("falconws asyncapi typed_chat:app"))
    text = json.dumps(document)
    assert document["asyncapi"] == "3.0.0"
    assert all(f'"{tag}"' in text for tag in ("say", "said", "count_words", "word_count", "error"))


async def test_the_tests_of_the_page_pass(snippet: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_chat", snippet("typed_chat"))
    module = snippet("typed_tests")
    await module.test_what_is_said_is_heard()
    await module.test_words_are_counted()
    module.test_the_contract_holds()
