"""The generated Python client: formatted, typed, and able to talk to the app that it was generated from."""

from __future__ import annotations

import datetime
import importlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

import falconws
from falconws.client import CallError, connect
from falconws.testing import LiveServer
from falconws.typed import Welcome
from tests.e2e.typed.generated_client import generate
from tests.generated.workshop import mypy_cache
from tests.runtime.typed.conversations import make_app

HERE = Path(__file__).parent / "typescript"
USAGE = """
from typing import assert_type

from falconws.client import connect
from falconws.typed import Gap, Joined, Left, Welcome

from served_client import Chat, ChatQuery, CountWords, Said, Say, WordCount, Words, chat_url, words_url


async def use() -> None:
    async with connect(Words, words_url("ws://127.0.0.1")) as words:
        assert_type(await words.call(CountWords(text="two words")), WordCount)
    async with connect(Chat, chat_url("ws://127.0.0.1", room=1), query=ChatQuery("ada")) as chat:
        await chat.send(Say("hello"))
        async for message in chat:
            assert_type(message, Welcome | Said | Joined | Left | Gap)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the import path, with the clients of two apps."""
    folder = tmp_path_factory.mktemp("python")
    for name in ("served", "awkward"):
        shutil.copy(HERE / f"{name}.py", folder)
        generate(folder, "python", f"{name}:app", "--output", f"{name}_client")
    (folder / "usage.py").write_text(USAGE)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def served(folder: Path) -> ModuleType:
    return importlib.import_module("served_client")


def check(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "MYPY_CACHE_DIR": mypy_cache()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_is_formatted_typed_and_clean(folder: Path) -> None:
    clients = ["served_client", "awkward_client"]
    check(folder, "ruff", "format", "--isolated", "--check", "--line-length", "88", *clients)
    rules = ["--select", "B,E,F,I,N,SIM,UP,W", "--ignore", "E501,B006"]
    check(folder, "ruff", "check", "--isolated", *rules, *clients)
    check(folder, "mypy", "--strict", "--config-file=", *clients, "usage.py")


async def test_calls_and_rooms(served: ModuleType) -> None:
    with LiveServer(make_app(falconws.Hub())) as server:
        async with connect(served.Words, served.words_url(server.ws_url)) as words:
            assert (await words.call(served.CountWords(text="two words"))).words == 2
            with pytest.raises(CallError) as error:
                await words.call(served.Reverse(text="darn"))
            assert error.value.code == "too_rude"
        url = served.chat_url(server.ws_url, room="a b")
        async with connect(served.Chat, url, query=served.ChatQuery("ada")) as chat:
            messages = aiter(chat)
            assert isinstance(await anext(messages), Welcome)
            await chat.send(served.Say("hello"))
            while not isinstance(said := await anext(messages), served.Said):
                pass
            assert (said.name, said.text, said.position) == ("ada", "hello", chat.position)


async def test_whatever_there_is_in_a_message_comes_back(folder: Path) -> None:
    client = importlib.import_module("awkward_client")
    app = importlib.import_module("awkward").app
    sent = client.Everything(
        with_dash=1,
        from_="here",
        anything={"a": [1, None]},
        color="red",
        shape=client.Square(side=2.5),
        tree=client.Node(1, children=[client.Node(2)]),
        point=(1.5, 2.5),
        counts={"a": 1},
        matrix=[[1.5, None]],
        data=b"\0\xff",
        at="2026-01-31T12:00:00Z",
        uuid_=uuid.UUID(int=7),
        price=Decimal("1.10"),
        level=2,
        long_choice="the last",
        many_choices=[],
        by_choice={},
    )
    with LiveServer(app) as server:
        url = client.a_conversation_with_a_very_long_name_url(server.ws_url, tenant="t", number=1)
        query = client.AConversationWithAVeryLongNameQuery(tags=["a", "b"], exact=True)
        async with connect(client.AConversationWithAVeryLongName, url, query=query) as conversation:
            await conversation.send(sent)
            received = await anext(aiter(conversation))
    assert (received.labels, received.limited, received.since) == (["a", "b"], "a", datetime.date(2026, 1, 1))
    for name in (
        *("with_dash", "from_", "anything", "color", "shape", "tree", "point", "counts", "matrix"),
        "data",
        "at",
    ):
        assert getattr(received, name) == getattr(sent, name)
    assert (received.uuid_, received.price, received.level) == (sent.uuid_, sent.price, sent.level)
