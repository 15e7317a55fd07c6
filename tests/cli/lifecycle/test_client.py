"""`falconws generate-client`: written, recorded, checked, upgraded and undone; edited files are not overwritten."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falconws.typed.asyncapi import asyncapi
from falconws_cli.change.record import read_record
from falconws_cli.doctor.client_check import check_clients
from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.errors import ExitCode
from falconws_cli.project import Project
from tests.cli.conftest import Run, do
from tests.cli.recorder import one_line_error, snapshot

APP = '''
import falconws
from falconws.typed import Conversation, speaks
from msgspec import Struct

class Say(Struct, tag="say"):
    """Say something."""
    text: str{more}

class Chat(Conversation[Say, Say]):
    """People hear each other."""

class News(Conversation[Say, Say]):
    """News for people."""

class ChatResource:
    @speaks(Chat)
    async def on_websocket(self, req, chat): ...

class NewsResource:
    @speaks(News)
    async def on_websocket(self, req, news): ...

app = falconws.App()
app.add_route("/chat", ChatResource())
{news}
'''
NEWS = 'app.add_route("/news", NewsResource())'
TS = ("generate-client", "ts", "--from", "asyncapi.json", "--output", "web/client")
FROM_APP = ("generate-client", "ts", "--output", "web/client")

Write = Callable[..., None]


@pytest.fixture
def write_app(tmp_path: Path) -> Write:
    """Write the project's app and its document, perhaps with another member, or without the news."""

    def write(more: str = "", news: str = NEWS) -> None:
        source = APP.format(more=more, news=news)
        served: dict[str, Any] = {"__name__": "served"}
        exec(source, served)
        (tmp_path / "demo" / "served.py").write_text(source)
        (tmp_path / "demo" / "asyncapi.json").write_text(json.dumps(asyncapi(served["app"], title="served")))

    return write


@pytest.fixture
def demo(tmp_path: Path, write_app: Write) -> Path:
    """A project with two conversations."""
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "pyproject.toml").write_text('[tool.falconws]\napp = "served:app"\n')
    write_app()
    return demo


def findings(demo: Path) -> list[Finding]:
    return list(check_clients(Project(demo, "served:app")))


def test_the_app_of_the_project_is_asked(run: Run, demo: Path) -> None:
    (demo / "asyncapi.json").unlink()
    do(run, *FROM_APP)
    assert "from the conversations of served" in (demo / "web" / "client" / "chat.ts").read_text()
    assert do(run, *FROM_APP, "--check") == "web/client is up to date.\n"


def test_it_is_written_once_and_known_to_all_commands(run: Run, demo: Path) -> None:
    before = snapshot(demo)
    output = do(run, *TS)
    assert "create  web/client/chat.ts" in output
    assert sorted(path.name for path in (demo / "web" / "client").iterdir()) == [
        *("chat.ts", "index.ts", "news.ts", "runtime.ts", "shared.ts")
    ]
    written = snapshot(demo)
    assert "identical  web/client/chat.ts" in do(run, *TS)
    assert snapshot(demo) == written
    status = do(run, "status")
    assert "falconws generate-client ts --output web/client --from asyncapi.json (falconws" in status
    assert "5 generated files: 5 intact" in status
    assert "up to date" in do(run, "upgrade", "--check")
    do(run, "undo")
    assert {path: text for path, text in snapshot(demo).items() if "__pycache__" not in str(path)} == before


def test_check_fails_with_one_line_when_the_conversations_have_changed(run: Run, demo: Path, write_app: Write) -> None:
    assert one_line_error(run(*TS, "--check", cwd="demo")) == (
        "Error: web/client is out of date; "
        "run `falconws generate-client ts --output web/client --from asyncapi.json`.\n"
    )
    do(run, *TS)
    assert do(run, *TS, "--check") == "web/client is up to date.\n"
    assert findings(demo) == [Finding("client", Level.OK, "web/client is up to date")]
    write_app(more="\n    to: str = ''")
    before = snapshot(demo)
    assert "is out of date" in do(run, *TS, "--check", code=ExitCode.FAILURE)
    assert findings(demo)[0] == Finding(
        "client",
        Level.WARNING,
        "web/client is out of date",
        "run `falconws generate-client ts --output web/client --from asyncapi.json`",
    )
    assert "An upgrade" in do(run, "upgrade", "--check", code=ExitCode.UPGRADE_AVAILABLE)
    assert snapshot(demo) == before
    assert "update  web/client/shared.ts" in do(run, *TS)
    assert do(run, *TS, "--check") == "web/client is up to date.\n"


def test_an_upgrade_generates_it_again_and_keeps_edits(run: Run, demo: Path, write_app: Write) -> None:
    do(run, *TS)
    shared = demo / "web" / "client" / "shared.ts"
    shared.write_text(shared.read_text() + "\nexport const MINE = 1;\n")
    write_app(more="\n    to: str = ''")
    assert "merged" in do(run, "upgrade")
    assert "to?: string" in shared.read_text()
    assert "MINE" in shared.read_text()


def test_an_edited_file_is_not_overwritten_without_a_word(run: Run, demo: Path, write_app: Write) -> None:
    do(run, *TS)
    shared = demo / "web" / "client" / "shared.ts"
    edited = shared.read_text() + "\nexport const MINE = 1;\n"
    shared.write_text(edited)
    write_app(more="\n    to: str = ''")
    refused = do(run, *TS, code=ExitCode.CONFLICT)
    assert "web/client/shared.ts exists and differs" in refused
    assert shared.read_text() == edited
    do(run, *TS, "--merge")
    assert "to?: string" in shared.read_text()
    assert "MINE" in shared.read_text()
    do(run, *TS, "--force")
    assert "MINE" not in shared.read_text()


def test_undo_takes_back_the_last_time_only(run: Run, demo: Path, write_app: Write) -> None:
    do(run, *TS)
    first = snapshot(demo / "web")
    write_app(more="\n    to: str = ''")
    do(run, *TS)
    do(run, "undo")
    assert snapshot(demo / "web") == first
    do(run, "undo")
    assert not (demo / "web" / "client" / "chat.ts").exists()


def test_the_file_of_a_conversation_that_is_gone_goes(run: Run, demo: Path, write_app: Write) -> None:
    do(run, *TS)
    write_app(news="")
    assert "is out of date" in do(run, *TS, "--check", code=ExitCode.FAILURE)
    output = do(run, *TS)
    assert "delete  web/client/news.ts" in output
    assert "delete  web/client/shared.ts" in output
    assert "news" not in (demo / "web" / "client" / "index.ts").read_text()
    assert "missing  " not in do(run, "status")
    assert do(run, *TS, "--check") == "web/client is up to date.\n"


def test_options_are_part_of_the_recipe(run: Run, demo: Path) -> None:
    do(run, *TS, "--react", "--import-extension", "js")
    client = demo / "web" / "client"
    assert 'from "./chat.js"' in (client / "react.ts").read_text()
    assert "up to date" in do(run, "upgrade", "--check")
    do(run, *TS)
    assert not (client / "react.ts").exists()
    assert 'from "./runtime"' in (client / "chat.ts").read_text()
    assert findings(demo)[0].level is Level.OK
    assert "up to date" in do(run, "upgrade", "--check")


def test_an_app_that_does_not_load_leaves_the_client_as_it_was(run: Run, demo: Path) -> None:
    do(run, *FROM_APP)
    (demo / "served.py").write_text("raise RuntimeError('no database')")
    assert "no database" in do(run, *FROM_APP, code=ExitCode.FAILURE)
    output = do(run, "upgrade", code=ExitCode.LEFT_TO_DO)
    assert "What `falconws generate-client ts --output web/client` made is left unchanged: " in output
    assert findings(demo)[0].detail.startswith("web/client cannot be checked (")


def test_another_repository_takes_the_document(run: Run, demo: Path, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    words = ("generate-client", "ts", "--from", "../demo/asyncapi.json", "--output", "src/client")
    assert run(*words, cwd="web").exit_code == 0
    assert run(*words, "--check", cwd="web").output == "src/client is up to date.\n"
    document = json.loads((demo / "asyncapi.json").read_text())
    document["channels"]["Chat"]["x-close-codes"] = {"4001": "The room\nwas closed"}
    (demo / "asyncapi.json").write_text(json.dumps(document))
    assert run(*words, "--check", cwd="web").exit_code == ExitCode.FAILURE
    assert run(*words, cwd="web").exit_code == 0
    assert "4001, // The room was closed" in (web / "src" / "client" / "chat.ts").read_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--output", "../web"], ExitCode.USAGE, "--output ../web is not a folder inside of"),
        (["--output", "."], ExitCode.USAGE, "--output . is not a folder inside of"),
        (["--output", ".git/x"], ExitCode.FAILURE, ".git/x"),
        (["--output", "web", "--from", "none.json"], ExitCode.FAILURE, "Cannot read none.json: no such file"),
        (["--output", "web", "--from", "pyproject.toml"], ExitCode.FAILURE, "pyproject.toml is not JSON"),
        (["--output", "web", "--from", "list.json"], ExitCode.FAILURE, "list.json: it is not an AsyncAPI document"),
        (["--output", "web", "--from", "x.json", "served:app"], ExitCode.USAGE, "are two sources of the same thing"),
        (["--output", "web", "--help=x"], ExitCode.USAGE, "--help"),
        (["--output", "web", "served"], ExitCode.FAILURE, '"served" is not of the form "module:attribute"'),
        (["--output", "web", "served:nothing"], ExitCode.FAILURE, "nothing"),
        ([], ExitCode.USAGE, "--output"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    run: Run, demo: Path, words: list[str], code: ExitCode, says: str
) -> None:
    (demo / "list.json").write_text("[]")
    before = snapshot(demo)
    result = run("generate-client", "ts", *words, cwd="demo")
    assert result.exit_code == code, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert {path: text for path, text in snapshot(demo).items() if "__pycache__" not in str(path)} == before


def test_a_folder_without_a_project_has_to_name_its_app(run: Run, tmp_path: Path) -> None:
    result = run("generate-client", "ts", "--output", "web")
    assert result.exit_code == ExitCode.USAGE
    assert "name the app as MODULE:ATTR, or its document with --from FILE" in result.output


HOSTILE = '"; import("fs") //\n*/ """ \\ ${x} {y} \u2028'


@pytest.mark.parametrize("place", ["title", "summary", "tag", "description", "code", "error", "member", "value"])
def test_nothing_in_a_document_becomes_code(run: Run, demo: Path, place: str) -> None:
    document = json.loads((demo / "asyncapi.json").read_text())
    channel, schema = document["channels"]["Chat"], document["components"]["schemas"]["Say"]
    match place:
        case "title":
            document["info"]["title"] = HOSTILE
        case "summary":
            channel["summary"] = HOSTILE
        case "tag":
            document["components"]["messages"]["Say"]["name"] = schema["properties"]["type"]["const"] = HOSTILE
        case "description":
            schema["description"] = schema["properties"]["text"]["description"] = HOSTILE
        case "code":
            channel["x-close-codes"] = {"4000": HOSTILE}
        case "error":
            channel["x-errors"] = {HOSTILE: HOSTILE}
        case "member":
            schema["properties"][HOSTILE] = {"type": "string", "pattern": HOSTILE, "format": HOSTILE}
        case "value":
            schema["properties"]["more"] = {"enum": [HOSTILE, "b"], "default": HOSTILE}
    (demo / "asyncapi.json").write_text(json.dumps(document))
    for language in ("ts", "python"):
        do(run, "generate-client", language, "--from", "asyncapi.json", "--output", language)
    for path in (demo / "python").iterdir():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert {ast.unparse(call.func) for call in calls} <= {"field", "quote", "str"}
    for path in (demo / "ts").iterdir():
        # Outside of strings and comments, there is no such word.
        code = re.sub(r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|//[^\n]*', "", path.read_text(), flags=re.DOTALL)
        assert 'import("fs")' not in code
        assert "fs" not in re.findall(r"\w+", code)


@pytest.mark.parametrize(
    ("name", "address"), [(HOSTILE, "/chat"), ("Chat", HOSTILE), ("Chat", "/{a b}"), ("Chat", "/*/")]
)
def test_a_channel_that_is_no_conversation_is_refused(run: Run, demo: Path, name: str, address: str) -> None:
    document = json.loads((demo / "asyncapi.json").read_text())
    document["channels"] = {name: {**document["channels"]["Chat"], "address": address}}
    (demo / "asyncapi.json").write_text(json.dumps(document))
    output = do(run, "generate-client", "ts", "--from", "asyncapi.json", "--output", "ts", code=ExitCode.FAILURE)
    assert "asyncapi.json: it is not an AsyncAPI document of falconws" in output


def test_a_schema_whose_name_is_none_is_refused(run: Run, demo: Path) -> None:
    document = json.loads((demo / "asyncapi.json").read_text())
    document["components"]["schemas"][HOSTILE] = {"type": "object", "properties": {}}
    (demo / "asyncapi.json").write_text(json.dumps(document))
    do(run, "generate-client", "ts", "--from", "asyncapi.json", "--output", "ts", code=ExitCode.FAILURE)


PYTHON = ("generate-client", "python", "--from", "asyncapi.json", "--output")


def test_a_folder_has_one_language(run: Run, demo: Path) -> None:
    do(run, *PYTHON, "client")
    before = snapshot(demo)
    for words in (["--output", "client"], ["--output", "client", "--check"], ["--output", "client", "--force"]):
        output = do(run, "generate-client", "ts", "--from", "asyncapi.json", *words, code=ExitCode.USAGE)
        assert "client has a Python client; choose another folder with --output, or delete client first." in output
    assert snapshot(demo) == before
    shutil.rmtree(demo / "client")
    do(run, "generate-client", "ts", "--from", "asyncapi.json", "--output", "client")
    assert len(list((demo / ".falconws" / "operations").iterdir())) == 1
    assert "missing  " not in do(run, "status")


@pytest.mark.parametrize(
    ("language", "output", "says"),
    [
        (
            "ts",
            "web/client.ts",
            "A client is a folder, and web/client.ts is the name of a file: use --output web/client",
        ),
        ("python", "client.py", "use --output client."),
        ("ts", "shop/messages", "shop is a Python package, which is no place for a TypeScript client"),
        ("ts", "shop", "shop is a Python package, which is no place for a TypeScript client"),
    ],
)
def test_a_folder_that_is_a_mistake_is_refused(run: Run, demo: Path, language: str, output: str, says: str) -> None:
    (demo / "shop").mkdir()
    (demo / "shop" / "__init__.py").touch()
    before = snapshot(demo)
    words = ("generate-client", language, "--from", "asyncapi.json", "--output", output)
    assert says in do(run, *words, code=ExitCode.USAGE)
    assert snapshot(demo) == before


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("rust", "Use ts, js or python."),
        ("typescript", "Use ts, js or python."),
        ("react", "Use ts, js or python."),
        ("pyton", 'Did you mean "python"?'),
    ],
)
def test_an_unknown_language_is_answered_with_the_languages(run: Run, demo: Path, language: str, hint: str) -> None:
    refusal = do(run, "generate-client", language, "--output", "client", code=ExitCode.USAGE)
    assert f'There is no client in "{language}". {hint}' in refusal


def test_other_files_in_the_folder_are_named_and_stay(run: Run, demo: Path) -> None:
    (demo / "web" / "client").mkdir(parents=True)
    (demo / "web" / "client" / "mine.ts").write_text("export const MINE = 1;\n")
    assert "web/client has other files too (mine.ts), which stay as they are." in do(run, *TS)
    assert (demo / "web" / "client" / "mine.ts").read_text() == "export const MINE = 1;\n"
    do(run, *PYTHON, "shop/messages")
    assert "other files" not in do(run, *TS)


def test_an_upgrade_of_what_is_up_to_date_writes_nothing_and_complains_of_nothing(
    run: Run, demo: Path, write_app: Write
) -> None:
    do(run, *TS)
    write_app(more="\n    to: str = ''")
    do(run, *TS, "--react")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=u", "-c", "user.email=u@x.org", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *words], cwd=demo, check=True)
    (demo / "pyproject.toml").write_text((demo / "pyproject.toml").read_text() + "# mine\n")
    before = snapshot(demo)
    assert "up to date" in do(run, "upgrade")
    assert snapshot(demo) == before


def test_an_upgrade_gives_new_files_to_the_last_operation_only(run: Run, demo: Path, write_app: Write) -> None:
    write_app(news="")
    do(run, *TS)
    write_app(news="", more="\n    to: str = ''")
    do(run, *TS)
    write_app()
    do(run, "upgrade")
    files = [operation.files for operation in read_record(demo).generated]
    assert ["web/client/news.ts" in made for made in files] == [False, True]
    assert "up to date" in do(run, "upgrade", "--check")
