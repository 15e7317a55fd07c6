"""`falconws add-part`: any order, any project, and back."""

import itertools
import shutil
from pathlib import Path

import pytest

from falconws_cli.change.record import FOLDER
from falconws_cli.errors import ExitCode
from falconws_cli.generators.parts import Part
from falconws_cli.source.register.hunks import LinesKind, hunks_between
from falconws_cli.source.register.result import RegisterOutcome, UnregisterOutcome
from tests.cli.conftest import Run, do
from tests.cli.recorder import one_line_error, tree


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of a project, without its record."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(f"{FOLDER}/")}


@pytest.mark.parametrize(
    "parts",
    [
        ("docker", "compose", "redis", "github-ci", "pre-commit", "agents-md"),
        ("agents-md", "nats", "pre-commit", "github-ci", "compose"),
        ("redis", "agents-md", "compose", "pre-commit"),
    ],
    ids=",".join,
)
def test_parts_added_later_are_those_of_a_new_project_and_undo_brings_every_byte_back(
    run: Run, tmp_path: Path, demo: Path, parts: tuple[str, ...]
) -> None:
    before = tree(demo)
    for part in parts:
        do(run, "add-part", part)
    (tmp_path / "whole").mkdir()
    assert run("new", "demo", "--with", ",".join(parts), cwd="whole").exit_code == 0
    assert contents(demo) == contents(tmp_path / "whole" / "demo")
    assert " 0 edited, 0 missing" in do(run, "status")
    assert "up to date" in do(run, "upgrade", "--check")
    for _ in parts:
        do(run, "undo")
    assert tree(demo) == before


@pytest.mark.parametrize("part", [part.value for part in Part if part not in (Part.REDIS, Part.NATS)])
def test_a_minimal_project_gets_parts_too(run: Run, tmp_path: Path, part: str) -> None:
    assert run("new", "demo", "--minimal", "--src").exit_code == 0
    (tmp_path / "whole").mkdir()
    assert run("new", "demo", "--minimal", "--src", "--with", part, cwd="whole").exit_code == 0
    before = tree(tmp_path / "demo")
    do(run, "add-part", part)
    assert contents(tmp_path / "demo") == contents(tmp_path / "whole" / "demo")
    do(run, "undo")
    assert tree(tmp_path / "demo") == before


def test_what_is_there_or_does_not_fit_is_refused(run: Run, tmp_path: Path, demo: Path) -> None:
    assert run("new", "demo", "--with", "redis", "--force").exit_code == ExitCode.USAGE
    assert run("new", "other", "--with", "redis").exit_code == 0
    assert "has the part redis already" in one_line_error(run("add-part", "redis", cwd="other"))
    do(run, "add-part", "redis")
    before = tree(demo)
    assert "update" not in do(run, "add-part", "redis")
    for part, why in {"nats": "one hub: choose redis or nats"}.items():
        result = run("add-part", part, cwd="demo")
        assert result.exit_code == ExitCode.USAGE
        assert why in one_line_error(result)
    assert 'Did you mean "docker"?' in run("add-part", "dokcer", cwd="demo").output
    assert tree(demo) == before
    assert run("new", "small", "--minimal").exit_code == 0
    result = run("add-part", "redis", cwd="small")
    assert "A minimal project has no settings" in one_line_error(result)


def test_a_broker_takes_the_hub_over_that_a_room_has_brought(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat", "--pattern", "room")
    app = demo / "demo" / "app.py"
    assert "add_middleware(falconws.Hub())" in app.read_text()
    before = tree(demo)
    do(run, "add-part", "redis")
    assert app.read_text().count("Hub(") == 1
    assert "add_middleware(falconws.Hub(settings.hub_url))" in app.read_text()
    assert " 0 edited" in do(run, "status")
    do(run, "undo")
    assert tree(demo) == before
    do(run, "add-part", "redis")
    do(run, "remove-resource", "chat")
    # The part needs it.
    assert "falconws.Hub(settings.hub_url)" in app.read_text()


def test_the_hub_goes_with_the_last_that_needs_it(run: Run, demo: Path) -> None:
    app = demo / "demo" / "app.py"
    before = app.read_bytes()
    for words in (
        ["add-resource", "chat", "--pattern", "room"],
        ["add-part", "redis"],
        ["remove-resource", "chat"],
        ["remove-part", "redis"],
    ):
        assert run(*words, cwd="demo").exit_code == 0
    assert app.read_bytes() == before


def test_another_hub_stays_and_is_pointed_out(run: Run, demo: Path) -> None:
    app = demo / "demo" / "app.py"
    lines = app.read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if "add_routes(app" in line)
    app.write_text("".join([*lines[:place], "    app.add_middleware(make_Hub(1))\n", *lines[place:]]))
    text = app.read_text()
    assert "demo/app.py has a hub already: change it to `falconws.Hub(settings.hub_url)`." in do(
        run, "add-part", "nats"
    )
    assert app.read_text() == text


def test_an_edited_file_gets_its_lines_and_keeps_its_edits(run: Run, demo: Path) -> None:
    readme = demo / "README.md"
    readme.write_bytes(
        (readme.read_text().replace("## Grow", "## Growing up") + "\n## Ours\n\nText.\n").replace("\n", "\r\n").encode()
    )
    mine = readme.read_bytes()
    before = tree(demo)
    do(run, "add-part", "docker")
    text = readme.read_bytes()
    assert b"## Growing up\r\n" in text
    assert b"$ docker build -t demo .\r\n" in text
    assert b"\n" not in text.replace(b"\r\n", b"")
    (demo / "demo" / "more.py").write_text("")
    do(run, "undo")
    assert readme.read_bytes() == mine
    (demo / "demo" / "more.py").unlink()
    assert tree(demo) == before


def test_lines_without_a_place_are_printed_and_nothing_is_lost(run: Run, demo: Path) -> None:
    conftest = demo / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text().replace("return {}", 'return {"DEMO_LOG_LEVEL": "DEBUG"}'))
    mine = conftest.read_bytes()
    said = do(run, "add-part", "redis", code=ExitCode.LEFT_TO_DO)
    assert "Cannot register the part redis in tests/conftest.py: the lines around it were not found" in said
    assert '    return {"DEMO_HUB_URL": "memory://"}' in said
    assert conftest.read_bytes() == mine
    do(run, "undo")
    assert conftest.read_bytes() == mine


def test_what_others_did_since_stays_when_a_part_is_removed(run: Run, demo: Path) -> None:
    do(run, "add-part", "pre-commit")
    do(run, "add-media-handler", "orders", "--codec", "orjson", "--payload", "text")
    do(run, "remove-part", "pre-commit")
    pyproject = (demo / "pyproject.toml").read_text()
    assert "pre-commit" not in pyproject
    assert "orjson" in pyproject
    assert not (demo / ".pre-commit-config.yaml").exists()
    assert " 0 edited" in do(run, "status")
    do(run, "undo")
    assert "pre-commit" in (demo / "pyproject.toml").read_text()


def adopted(tmp_path: Path) -> Path:
    """Return a project that somebody else has made."""
    root = tmp_path / "demo"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "main.py").write_text("import falcon.asgi\n\napp = falcon.asgi.App()\n")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "Acme_Shop"\nversion = "1"\ndependencies = []\n\n[tool.falconws]\napp = "shop.main:app"\n'
    )
    return root


@pytest.mark.parametrize("part", [part.value for part in Part])
def test_a_project_of_others_gets_the_files(run: Run, tmp_path: Path, part: str) -> None:
    root = adopted(tmp_path)
    before = tree(root)
    said = do(run, "add-part", part)
    written = set(contents(root)) - set(before)
    assert written
    assert not any(path.startswith("tests/") for path in written)
    if part == "docker":
        assert '"falconws", "serve", "shop.main:app"' in (root / "Dockerfile").read_text()
        assert "/opt/acme-shop" in (root / "Dockerfile").read_text()
        assert "!shop/\n" in (root / ".dockerignore").read_text()
        assert "requests /healthz: add this route" in said
    elif part == "redis":
        assert 'Add the hub in shop/main.py: `app.add_middleware(falconws.Hub("redis://127.0.0.1:6379"))`.' in said
    elif part == "pre-commit":
        assert "pre-commit>=4,<5" in (root / "pyproject.toml").read_text()
    assert "up to date" in do(run, "upgrade", "--check")
    do(run, "undo")
    assert tree(root) == before


def test_compose_and_a_broker_share_their_file_in_a_project_of_others(run: Run, tmp_path: Path) -> None:
    root = adopted(tmp_path)
    before = tree(root)
    for part in ("redis", "compose"):
        do(run, "add-part", part)
    text = (root / "compose.yaml").read_text()
    assert "acme-shop:" in text
    assert "valkey" in text
    shutil.copytree(root, tmp_path / "other")
    for _ in range(2):
        do(run, "undo")
    assert tree(root) == before


LINES = ["one", "two", "", "three", "", "four", "five", "", "two"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["newline", "no newline"])
def test_hunks_lead_there_and_back(end: str, last: bool) -> None:
    for size in (1, 2):
        for gone in itertools.combinations(range(len(LINES)), size):
            new = [f"new {line}" if number in gone else line for number, line in enumerate(LINES)]
            new.insert(gone[0], "another")
            hunks = hunks_between("\n".join(LINES), "\n".join(new))
            text = end.join(LINES) + (end if last else "")
            done = LinesKind(what="it", hunks=hunks).register(text, "")
            assert done.outcome is RegisterOutcome.REGISTERED
            assert done.text.splitlines() == new
            assert LinesKind(what="it", hunks=hunks).register(done.text, "").outcome is RegisterOutcome.ALREADY
            back = LinesKind(what="it", hunks=hunks).unregister(done.text, "")
            assert back.outcome is UnregisterOutcome.REMOVED
            assert back.text.splitlines() == LINES
            assert LinesKind(what="it", hunks=hunks).unregister(text, "").text == text


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("one\nTWO\nthree\nfour\n", RegisterOutcome.REGISTERED),
        ("four\n", RegisterOutcome.REGISTERED),
        ("three\nfour\nx\nthree\nfour\n", RegisterOutcome.CANNOT),
        ("nothing\n", RegisterOutcome.CANNOT),
        ("", RegisterOutcome.CANNOT),
    ],
)
def test_a_hunk_finds_its_place_by_what_is_left_around_it(text: str, outcome: RegisterOutcome) -> None:
    hunks = hunks_between("one\ntwo\nthree\nfour\n", "one\ntwo\nthree\nnew\nfour\n")
    done = LinesKind(what="it", hunks=hunks).register(text, "")
    assert done.outcome is outcome
    if outcome is RegisterOutcome.REGISTERED:
        assert "new\nfour\n" in done.text
    else:
        assert done.text == text
        assert done.lines == ("new",)


@pytest.mark.parametrize("broker", ["redis", "nats"])
def test_a_broker_adds_its_extra_to_the_requirement_that_is_there(run: Run, demo: Path, broker: str) -> None:
    before = (demo / "pyproject.toml").read_text()
    do(run, "add-resource", "words", "--pattern", "request-response", "--typed")
    do(run, "add-part", broker)
    expected = before.replace('"falconws>=', f'"falconws[typed,{broker}]>=')
    assert (demo / "pyproject.toml").read_text() == expected != before
    do(run, "remove-resource", "words")
    assert (demo / "pyproject.toml").read_text() == before.replace('"falconws>=', f'"falconws[{broker}]>=')
    do(run, "remove-part", broker)
    assert (demo / "pyproject.toml").read_text() == before


def test_the_missing_part_is_asked_for_with_the_list_once(run: Run, demo: Path) -> None:
    result = run("add-part", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "add-part [OPTIONS] PART\n" in result.stderr
    assert result.stderr.count("github-ci") == 1
