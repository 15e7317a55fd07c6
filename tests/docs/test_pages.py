"""The pages agree with the source, and their links work."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import falconws
import falconws.hub
import falconws.server
import falconws.testing
from falconws_cli.errors import ExitCode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def from_source() -> ModuleType:
    spec = importlib.util.spec_from_file_location("from_source", DOCS / "extensions" / "from_source.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_every_settings_class_is_in_a_table_and_in_the_reference(from_source: ModuleType) -> None:
    reference = (DOCS / "reference" / "server.md").read_text()
    guide = (DOCS / "howto" / "tune.md").read_text()
    settings = {name for name in falconws.server.__all__ if name.endswith("Settings")}
    assert {name for name in settings if f".. autoclass:: falconws.server.{name}" in reference} == settings
    assert set(from_source.SETTINGS) == settings - {"DeflateSettings"}
    assert all(f"```{{settings}} {name}" in guide for name in from_source.SETTINGS if name != "TlsSettings")


def test_each_setting_has_its_default_and_what_it_does(from_source: ModuleType) -> None:
    rows = {row[0]: row for kind in from_source.SETTINGS.values() for row in from_source.settings_of(kind)}
    assert all(text for *_, text in rows.values())
    assert rows["max_message_bytes"][1:3] == ("--ws-max-size", "1,048,576")
    assert "1009" in rows["max_message_bytes"][3]
    assert rows["limit_connections"][1:3] == ("--limit-connections", "none")


def test_every_exit_code_is_in_the_table(from_source: ModuleType) -> None:
    rows = from_source.exit_codes()
    assert [code for code, _, _ in rows] == [code.value for code in ExitCode]
    assert all(meaning.endswith(".") for _, _, meaning in rows)


def test_every_key_of_the_preview_is_explained(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "falconws_cli", "new", "demo", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    explained = re.findall(r"^\| `(\w+)` \|", (DOCS / "howto" / "preview.md").read_text().partition("| Key |")[2], re.M)
    assert list(json.loads(done.stdout)) == explained


def test_the_differences_are_those_of_the_contract_suite(from_source: ModuleType) -> None:
    differences = from_source.read_differences()
    assert "http_error_before_accept" in differences
    assert all(sentence.endswith(".") for sentence in differences.values())


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
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


def test_close_codes_of_the_explanation_are_registered() -> None:
    page = (DOCS / "explanation" / "errors-and-close-codes.md").read_text()
    codes = {int(code) for code in re.findall(r"\b10[01]\d\b", page)}
    assert codes <= {int(code) for code in falconws.CloseCode}
