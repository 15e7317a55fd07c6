"""The pages agree with the source, and their links work."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import falcon
import pytest

import falconws
import falconws.hub
import falconws.server
import falconws.testing
from falconws_cli.errors import ExitCode
from falconws_cli.main import cli
from tests.docs import tables
from tests.docs.blocks import filled, page_paths
from tests.docs.figures import FIGURES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_reference_documents_exactly_what_is_public() -> None:
    for module, page in ((falconws, "api.md"), (falconws.testing, "testing.md")):
        names = (page, "hub.md", "options.md", "close-codes.md")
        pages = "".join((DOCS / "reference" / name).read_text() for name in names)
        documented = set(re.findall(rf"\.\. \w+:: {re.escape(module.__name__)}\.(\w+)\b(?!\.)", pages))
        assert {name for name in module.__all__ if not name.startswith("_")} <= documented
        assert documented <= set(dir(module))


def test_the_reference_of_the_hub_documents_exactly_what_is_public() -> None:
    page = (DOCS / "reference" / "hub.md").read_text()
    # The names that most applications need are documented as members of the package.
    documented = set(re.findall(r"\.\. \w+:: falconws\.(?:hub\.)?(\w+)\b(?!\.)", page))
    assert documented == set(falconws.hub.__all__)


def test_every_settings_class_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "server.md").read_text()
    settings = {name for name in falconws.server.__all__ if name.endswith("Settings")}
    assert {name for name in settings if f".. autoclass:: falconws.server.{name}" in reference} == settings


@pytest.mark.parametrize("page", list(page_paths()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_equal_their_sources(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, "run python -m tests.docs.blocks"


def test_every_comment_that_names_a_source_has_its_block() -> None:
    for page in page_paths():
        text = page.read_text()
        found = re.findall(r"<!-- source: .* -->\n\n```+[a-z]+\n", text)
        assert len(found) == text.count("<!-- source:"), page
        # There, it would begin a block, and end the paragraph.
        assert re.search(r"^ *<!-- figure:", text, re.MULTILINE) is None, page
        assert text.count("<!-- table:") + text.count("<!-- figure:") == text.count("<!-- end -->"), page


@pytest.mark.parametrize("folder", ["tutorial", "howto", "explanation", "performance", "reference"])
def test_an_index_links_to_every_page_of_its_folder(folder: str) -> None:
    index = (DOCS / folder / "index.md").read_text()
    names = {path.name for path in (DOCS / folder).glob("*.md")} - {"index.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == names


def test_pages_contain_their_code() -> None:
    assert [page for page in page_paths() if "{literalinclude}" in page.read_text()] == []


def test_the_table_of_limits_has_defaults_and_effects() -> None:
    limits = {limit.name: limit for limit in tables.all_limits()}
    assert limits["max_message_bytes"].where == "`ConnectionSettings`<br>`--ws-max-size`"
    assert limits["max_message_bytes"].default == "1,048,576"
    assert "1009" in limits["max_message_bytes"].effect
    assert (limits["limit_connections"].option, limits["limit_connections"].default) == ("--limit-connections", "none")
    assert (limits["disconnect_grace_s"].where, limits["disconnect_grace_s"].default) == ("`app.ws_options`", "10")
    assert all(limit.effect.endswith(".") for limit in limits.values())


def test_every_limit_is_in_the_table() -> None:
    rows = "\n".join(tables.limits())
    for name in tables.settings_classes():
        for field in fields(getattr(falconws.server, name)):
            if not field.init:
                continue
            assert f"| `{field.name}`<br>`{name}`" in rows


def options(command: click.Command) -> Iterator[str]:
    """Yield the options of a command and of those below it."""
    yield "--help"
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options(below)


def test_the_options_that_pages_name_exist() -> None:
    # Those of uvicorn and of Node.js.
    known = {*options(cli), "--ws", "--experimental-websocket"}
    for page in page_paths():
        code = re.findall(r"`((?:--|falconws )[^`]+)`", page.read_text())
        named = {option for words in code for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", words)}
        assert named <= known, page


def test_the_security_page_names_the_defaults() -> None:
    page = (DOCS / "howto" / "security.md").read_text()
    limits = list(tables.all_limits())
    defaults = {limit.name: limit.default for limit in limits} | {limit.option: limit.default for limit in limits}
    named = re.findall(r"`(?:ws_options\.)?(--[a-z-]+|[a-z_]+_s|max_\w+)` \((1 MiB|[\d,]+|none)", page)
    assert len(named) > 10
    for name, value in named:
        assert defaults[name] == {"1 MiB": "1,048,576"}.get(value, value), name
    history = falconws.HistoryLimits()
    assert f"`HistoryLimits` ({history.messages} messages, {history.age_s:.0f} s)" in page
    assert f"`Hub(timeout_s=)` ({defaults['timeout_s']} s)" in page
    assert f"`Policy.disconnect` ({defaults['max_lag_s']} s of lag)" in page


def test_every_exit_code_is_in_the_table() -> None:
    rows = tables.exit_codes()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| `{code.value}`" for code in ExitCode]
    assert all(row.endswith(". |") for row in rows)


def test_every_key_of_the_preview_is_explained(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "falconws_cli", "new", "demo", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    explained = re.findall(r"^\| `(\w+)` \|", (DOCS / "howto" / "preview.md").read_text().partition("| Key |")[2], re.M)
    assert list(json.loads(done.stdout)) == explained


def test_the_differences_are_those_of_the_contract_suite() -> None:
    sentences = tables.differences()
    assert len(sentences) > 10
    assert all(sentence.startswith("- ") and sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_to_files_exist(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_snippet_is_shown_on_a_page() -> None:
    pages = "".join(path.read_text() for path in DOCS.rglob("*.md"))
    for path in (DOCS / "snippets").rglob("*.py"):
        name = path.relative_to(DOCS / "snippets").as_posix()
        # These two files are described in words.
        if name not in ("testing/service.py", "falcon_app.py"):
            assert f"snippets/{name}" in pages, f"no page shows {name}"


def test_what_the_migration_page_names_exists() -> None:
    rows = re.findall(r"^\| .* \| (.*) \|$", (DOCS / "howto" / "migrate-from-others.md").read_text(), re.MULTILINE)
    owners = {
        "ws": falconws.WebSocket,
        "hub": falconws.Hub,
        "subscription": falconws.Subscription,
        "app": falconws.App(),
    }
    owners |= {"falconws": falconws, "falcon": falcon}
    named = [found for row in rows for found in re.findall(r"\b(ws|hub|subscription|app|falconws|falcon)\.(\w+)", row)]
    assert len(named) > 20
    assert [f"{owner}.{name}" for owner, name in named if not hasattr(owners[owner], name)] == []


def test_close_codes_of_the_explanation_are_registered() -> None:
    page = (DOCS / "explanation" / "errors-and-close-codes.md").read_text()
    codes = {int(code) for code in re.findall(r"\b10[01]\d\b", page)}
    assert codes <= {int(code) for code in falconws.CloseCode}


def test_every_figure_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in page_paths())
    assert set(re.findall(r"<!-- figure: ([\w-]+) -->", pages)) == set(FIGURES)
