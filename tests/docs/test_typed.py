"""The snippets of the page on typed messages work as the page tells."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.client import connect

import falconws
from falconws.testing import Client, HandshakeDenied, LiveServer, check_conversations
from tests.docs.shell import Shell
from tests.e2e.hub.servers import Valkey

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


async def test_calls_are_answered_as_soon_as_they_are_done(snippet: Load) -> None:
    module = snippet("typed_calls")
    async with Client(module.app) as client, client.websocket("/dictionary") as ws:
        for number, word in enumerate(("dog", "cat", "bird", "?")):
            await ws.send_media({"type": "translate", "word": word, "id": number})
        answers = {answer["id"]: answer for answer in [await ws.receive_media() for _ in range(4)]}
        # The one that takes longer comes last.
        assert list(answers)[-1] == 0
    assert [answers[number].get("text") for number in (0, 1)] == ["Hund", "Katze"]
    assert answers[2]["similar"] == ["cat", "dog"]
    assert answers[3]["code"] == "unavailable"


async def test_each_client_gets_the_version_that_it_offers(snippet: Load) -> None:
    app = snippet("typed_versions").app
    async with Client(app) as client:
        for offered, call in {"sum.v1": {"a": 1, "b": 2}, "sum.v2": {"numbers": [1, 2]}}.items():
            async with client.websocket("/sum", subprotocols=[offered]) as ws:
                assert ws.subprotocol == offered
                await ws.send_media({"type": "add", **call})
                assert await ws.receive_media() == {"type": "sum", "value": 3.0}
        with pytest.raises(HandshakeDenied, match=r"sum\.v2, sum\.v1"):
            async with client.websocket("/sum"):
                pass


async def test_pydantic_models_are_validated_as_a_whole(snippet: Load) -> None:
    app = snippet("typed_pydantic").app
    async with Client(app) as client, client.websocket("/booking") as ws:
        book = {"type": "book", "id": 1, "room": "Turing", "first_hour": 9, "last_hour": 8}
        await ws.send_media(book)
        error = await ws.receive_media()
        assert (error["code"], error["id"]) == ("invalid_message", 1)
        assert "the last hour is before the first one" in error["message"]
        await ws.send_media(book | {"last_hour": 10})
        assert await ws.receive_media() == {"type": "booked", "id": 1, "room": "Turing"}


async def test_messages_are_published_and_read_anywhere(snippet: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_chat", snippet("typed_chat"))
    module = snippet("typed_rooms")
    async with falconws.Hub() as hub:
        await module.copy_to_room(hub, "lobby", [("ada", "one"), ("ben", "two")])
        assert await module.last_texts(hub, "lobby") == ["one", "two"]


def test_a_script_publishes_to_the_broker(
    snippet: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setitem(sys.modules, "typed_chat", snippet("typed_chat"))
    module = snippet("typed_rooms")
    server = Valkey(tmp_path / "valkey")
    request.addfinalizer(server.stop)

    async def read() -> list[str]:
        async with falconws.Hub(server.url) as hub:
            return list(await module.last_texts(hub, "lobby"))

    module.announce(server.url, "lobby", "We restart at noon")
    assert asyncio.run(read()) == ["We restart at noon"]


@pytest.mark.parametrize("name", ["typed_calls", "typed_dataclasses", "typed_versions", "typed_pydantic"])
def test_what_the_pages_declare_holds(snippet: Load, name: str) -> None:
    check_conversations(snippet(name).app)


async def test_a_client_that_knows_the_wire_format_resumes(snippet: Load) -> None:
    """It is a client in another language, as far as the server can see."""
    chat, wire = snippet("typed_chat"), snippet("clients/wire_client")
    heard: list[str] = []
    with LiveServer(chat.app) as server:

        async def restart_and_end() -> None:
            async with connect(f"{server.ws_url}/rooms/1?name=ben") as ben:
                for text in ("one", "two", "three"):
                    await ben.send(json.dumps({"type": "say", "text": text}))
                    while json.loads(await ben.recv())["type"] != "said":
                        pass

        def handle(message: dict[str, Any]) -> None:
            if message["type"] == "welcome" and not heard:
                heard.append("welcome")
                tasks.append(asyncio.ensure_future(restart_and_end()))
            if message["type"] == "said":
                heard.append(message["text"])
                if message["text"] == "three":
                    raise EndError
                raise OSError("the line is cut")

        tasks: list[asyncio.Future[None]] = []
        with pytest.raises(EndError):
            await wire.follow(f"{server.ws_url}/rooms/1", "ada", handle)
        await asyncio.gather(*tasks)
    assert heard == ["welcome", "one", "two", "three"]


class EndError(Exception):
    """The client has heard enough."""
