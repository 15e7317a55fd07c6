"""Copies of a conversation: each of them is the same conversation, and runs."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

import falconws
from falconws.console.snippets import Spoken, snippet, spoken
from falconws.testing import Client
from falconws.typed.asyncapi import asyncapi
from tests.e2e.console.served import app
from tests.e2e.typed.generated_client import generate
from tests.node import node_packages

URL = "ws://127.0.0.1:8000/echo?add=!"
TARGET = "/echo?add=!"


def copy(kind: str, *events: dict[str, Any], subprotocols: list[str] | None = None, target: str = TARGET) -> str:
    return snippet(kind, f"ws://127.0.0.1:8000{target}", target, subprotocols or [], events)


def test_a_command_sends_what_was_sent() -> None:
    text = 'it\'s "here" & $HOME'
    line = copy("command", {"sent": text}, {"received": "x"}, {"sent": "b"}, subprotocols=["v1", "v2"])
    assert shlex.split(line) == [
        *("falconws", "connect", URL),
        *("--subprotocol", "v1", "--subprotocol", "v2"),
        *("--send", text, "--send", "b"),
    ]


def test_a_command_sends_one_kind_of_messages() -> None:
    assert copy("command", {"sentHex": "00ff"}).endswith("--hex --send 00ff")
    mixed = copy("command", {"sentHex": "00ff"}, {"sent": "a"})
    assert "00ff" not in mixed
    assert "the BINARY ones are left out" in mixed


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'cobol' is not one of command"):
        copy("cobol")


CONVERSATIONS = {
    "text": [{"sent": 'it\'s "here"'}, {"received": 'it\'s "here"!'}],
    "json": [{"sent": '{"a": [1, null, true, "é"]}'}, {"received": '{"a": [1, null, true, "é"]}!'}],
    "binary": [{"sentHex": "00ff27"}, {"receivedHex": "00ff27"}],
    "closed": [{"sent": "leave"}, {"closed": 4999}],
    "nothing": [],
}


async def run_test(source: str, served: falconws.App = app) -> None:
    names: dict[str, Any] = {}
    exec(compile(source, "<copied>", "exec"), names)
    [test] = [value for name, value in names.items() if name.startswith("test_")]
    async with Client(served) as client:
        await test(client)


@pytest.mark.parametrize("events", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_copied_test_passes(events: list[dict[str, Any]]) -> None:
    await run_test(copy("python", *events))


async def test_a_copied_test_of_json_compares_objects() -> None:
    source = copy("python", {"sent": '{"a": null}'}, {"received": '{"a": null}'}, target="/echo")
    assert 'send_media({"a": None})' in source
    await run_test(source)


async def test_a_copied_test_can_fail() -> None:
    with pytest.raises(AssertionError):
        await run_test(copy("python", {"sent": "a"}, {"received": "b"}))


async def test_a_copied_test_offers_the_subprotocols() -> None:
    source = copy("python", {"sent": "a"}, {"received": "a!"}, subprotocols=["v1"])
    assert 'subprotocols=["v1"]' in source
    await run_test(source)


async def test_a_copied_refusal_is_a_test_of_it() -> None:
    source = copy("python", {"refused": 401}, target="/private")
    await run_test(source)
    with pytest.raises(AssertionError):
        await run_test(source.replace("401", "403"))


async def test_a_copied_room_compares_what_stays_the_same() -> None:
    events = [
        {"received": '{"type":"welcome","position":"1:0","present":["ada"]}'},
        {"sent": '{"type":"say","text":"hi"}'},
        {"received": '{"type":"joined","member":"ada"}'},
    ]
    source = copy("python", *events, target="/rooms/den?name=ada")
    assert "async def test_rooms_den(client: Client)" in source
    assert 'assert (await ws.receive_media())["type"] == "welcome"' in source
    assert 'assert await ws.receive_media() == {"type": "joined", "member": "ada"}' in source


@pytest.mark.parametrize("target", ["/", "/é/ü", "/1"])
def test_any_path_makes_a_name(target: str) -> None:
    compile(copy("python", target=target), "<copied>", "exec")


@pytest.mark.parametrize("events", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_copied_typescript_is_what_node_can_run(events: list[dict[str, Any]], tmp_path: Path) -> None:
    node_packages()
    source = copy("typescript", *events, subprotocols=["v1"])
    plain = source.replace(": MessageEvent<string | ArrayBuffer>", "").replace(": CloseEvent", "")
    # A WebSocket that tells what the page would have sent.
    stub = """
        const told = [];
        class WebSocket {
          constructor(...opened) {
            told.push(opened);
            setTimeout(() => { this.onopen?.(); console.log(JSON.stringify(told)); });
          }
          send(data) { told.push(typeof data === "string" ? data : [...data]); }
        }
    """
    done = subprocess.run(["node", "-e", stub + plain], capture_output=True, text=True, timeout=60, check=True)
    opened, *sent = json.loads(done.stdout)
    assert opened == [URL, ["v1"]]
    expected = [
        list(bytes.fromhex(event["sentHex"])) if "sentHex" in event else event["sent"]
        for event in events
        if event.keys() & {"sent", "sentHex"}
    ]
    assert [json.loads(each) if str(each).startswith("{") else each for each in sent] == [
        json.loads(each) if str(each).startswith("{") else each for each in expected
    ]


# TypeScript of typed conversations

DOCUMENT = asyncapi(app)


@pytest.mark.parametrize(
    ("path", "target", "params", "query"),
    [
        ("/rooms/{room}", "/rooms/a%20b%2Fc?name=1&since=x%3A1", {"room": "a b/c"}, {"name": "1", "since": "x:1"}),
        ("/rooms/{room}", "/elsewhere", {}, {}),
        ("/files/{rest}", "/files/a/b", {"rest": "a/b"}, {}),
        ("/words", "/words", {}, {}),
    ],
)
def test_the_parameters_are_read_from_the_address(
    path: str, target: str, params: dict[str, str], query: dict[str, Any]
) -> None:
    assert spoken(DOCUMENT, "Chat", path, target) == Spoken("Chat", path, params, query)


def test_a_number_in_the_query_is_one() -> None:
    schema = {"properties": {"count": {"type": "integer"}, "other": {"type": "integer"}}}
    document = {"channels": {"C": {"bindings": {"ws": {"query": schema}}}}}
    assert spoken(document, "C", "/c", "/c?count=3&other=many").query == {"count": 3, "other": "many"}


def typed(name: str, path: str, target: str, *events: dict[str, Any]) -> str:
    conversation = spoken(DOCUMENT, name, path, target)
    return snippet("typescript", f"wss://example.com/api{target}", target, [], events, conversation)


CHAT = typed(
    "Chat",
    "/rooms/{room}",
    "/rooms/lobby?name=ada&since=a%3A1",
    {"received": '{"type":"welcome","position":"a:0","present":[]}'},
    {"sent": '{"type":"say","text":"it\'s \\"here\\""}'},
    {"sent": "no message"},
)
WORDS = typed("Words", "/words", "/words", {"sent": '{"type":"count_words","id":1,"text":"two words","at_most":5}'})


def test_copied_typescript_uses_the_generated_client() -> None:
    assert CHAT == (
        "// falconws generate-client ts --output falconws\n"
        'import { connectChat } from "./falconws";\n'
        "\n"
        "const client = connectChat({\n"
        '  url: "https://example.com/api",\n'
        '  params: {"room": "lobby"},\n'
        '  query: {"name": "ada"},\n'
        "});\n"
        'client.on("*", (message) => console.log(message));\n'
        "client.onStatus(async (status) => {\n"
        '  if (status !== "open") return;\n'
        '  client.send({"type": "say", "text": "it\'s \\"here\\""});\n'
        "});"
    )
    assert 'await client.call("count_words", {"text": "two words", "at_most": 5})' in WORDS


@pytest.mark.timeout(600)
def test_the_compiler_accepts_copied_typescript(tmp_path: Path) -> None:
    packages = node_packages("typescript")
    (tmp_path / "asyncapi.json").write_text(json.dumps(DOCUMENT))
    generate(tmp_path, "ts", "--from", "asyncapi.json", "--output", "falconws")
    untyped = copy("typescript", {"sent": '{"a": 1}'}, {"sentHex": "00ff"}, subprotocols=["v1"])
    for name, source in {"chat": CHAT, "words": WORDS, "untyped": f"{untyped}\nexport {{}};"}.items():
        (tmp_path / f"{name}.ts").write_text(source)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    command = ["node", str(packages / "node_modules/typescript/bin/tsc"), *options, "--lib", "es2022,dom,dom.iterable"]
    files = ["chat.ts", "words.ts", "untyped.ts"]
    done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
    (tmp_path / "chat.ts").write_text(CHAT.replace('"say"', '"shout"'))
    done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "shout" in done.stdout
