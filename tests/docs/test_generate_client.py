"""The page on generated clients: its sessions are played, its snippets are compiled, and run against an app."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import expect, sync_playwright

from falconws.testing import LiveServer
from tests.docs.shell import Shell, session
from tests.node import COMPILER_OPTIONS, node_packages

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"
SECONDS = 100.0
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
Load = Callable[[str], ModuleType]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A terminal in a project whose app is the snippet of the page on typed messages."""
    shutil.copy(SNIPPETS / "typed_chat.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "typed_chat:app"\n')
    return Shell(tmp_path)


@pytest.mark.timeout(600)
def test_the_typescript_snippets_work(shell: Shell, snippet: Load) -> None:
    packages = node_packages("react-dom", "typescript", "vitest", "ws")
    shell.play(session("generate-client"))
    shell.play(session("check-client"))
    folder = shell.folder / "web" / "src"
    for path in (*(SNIPPETS / "typescript").iterdir(), Path(__file__).with_name("generate_client.test.tsx")):
        shutil.copy(path, folder)
    (shell.folder / "node_modules").symlink_to(packages / "node_modules")
    sources = [path.name for path in (SNIPPETS / "typescript").iterdir()]
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER_OPTIONS, "include": sources}))
    run(folder, "tsc", "-p", ".")
    with LiveServer(snippet("typed_chat").app) as server:
        run(folder, "vitest", "run", "--root", ".", "--testTimeout=60000", SERVER_URL=server.url)


def run(folder: Path, program: str, *words: str, **environ: str) -> None:
    done = subprocess.run(
        [str(folder.parents[1] / "node_modules" / ".bin" / program), *words],
        cwd=folder,
        env={**os.environ, "CI": "1", **environ},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_python_package_talks_to_the_app(
    shell: Shell, snippet: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell.run("falconws asyncapi --output asyncapi.json")
    shell.play(session("generate-python-client"))
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("chat_client")
    client = snippet("clients/generated_client")
    with LiveServer(snippet("typed_chat").app) as server:
        said = await client.say(server.ws_url, "hello")
        assert (type(said), said.text) == (package.Said, "hello")
        assert await client.count(server.ws_url, "two words") == 2
    for name in [name for name in sys.modules if name.partition(".")[0] == "chat_client"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_page_without_a_build_calls_the_app(shell: Shell, snippet: Load) -> None:
    shell.play(session("generate-javascript-client"))
    shutil.copy(SNIPPETS / "clients" / "words.html", shell.folder / "static")
    app = snippet("typed_chat").app
    app.add_static_route("/static", str(shell.folder / "static"))
    with LiveServer(app) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{server.url}/static/words.html")
        page.get_by_label("Text").fill("two words")
        page.get_by_label("Text").press("Tab")
        expect(page.locator("output")).to_have_text("2", timeout=SECONDS * 1000)
        browser.close()
