"""Projects that somebody else prepared: nothing outside of them, or in their .git, is written, replaced or deleted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from falconws_cli.change.operation import FORMAT
from tests.cli.conftest import Run, do
from tests.cli.lifecycle.operations import operation_files, operation_of
from tests.cli.recorder import snapshot

NAME = "20990101T000000.000000Z-1f2e3d4c"
TEXT = "ssh-ed25519 AAAA\n"
COMMANDS = (
    ["status"],
    ["upgrade", "--force"],
    ["add-resource", "chat"],
    ["add-resource", "echo", "--no-http", "--force"],
    ["add-middleware", "auth", "--kind", "token-auth"],
    ["add-media-handler", "orders", "--payload", "text", "--codec", "orjson"],
    ["destroy", "resource", "evil", "--force"],
    ["undo", "--force", "--yes"],
    ["undo", "--force", "--yes"],
    ["eject", "resource/echo"],
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, beside the project, with files that must stay."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "known_hosts").write_text(TEXT)
    (folder / ".profile").write_text(TEXT)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "evil.cpython-311.pyc").write_text(TEXT)
    return folder


@pytest.fixture
def repository(demo: Path) -> Path:
    """The project, with a .git of its own."""
    subprocess.run(["git", "init", "-q"], cwd=demo, check=True)
    return demo


def record(root: Path, name: str = NAME, **entries: Any) -> None:
    """Write an operation that the project's author made up."""
    recipe = {"generator": "resource", "name": "evil", "options": {"route": "/evil"}}
    made_up = {"format": FORMAT, "command": "falconws add-resource evil", "version": "0.2.0", "recipe": recipe}
    document = {key: value for key, value in {**made_up, **entries}.items() if value is not None}
    (root / ".falconws" / "operations" / f"{name}.json").write_text(json.dumps(document))


def destroyed(root: Path, path: str) -> None:
    """Record a `destroy` whose undo would create a file."""
    record(root, recipe=None, command="falconws destroy resource evil", files={path: TEXT.split("\n")})


def edited(root: Path, path: str) -> None:
    """Record an operation whose undo would give a file another text."""
    from falconws_cli.change.record import sha256

    edit = {"before": ["evil", ""], "after": sha256(TEXT.encode())}
    record(root, edits={path: edit}, files={})


def generated(root: Path, path: str) -> None:
    """Record an operation whose undo would delete a file."""
    record(root, files={path: TEXT.split("\n")})


def package(root: Path, path: str) -> None:
    record(root, files={}, packages=[path])


def registered(root: Path, path: str) -> None:
    """Record a registration whose removal would change a file."""
    arguments = {"template": "/evil", "resource": "demo.evil:Evil"}
    made = {"kind": "route", "path": path, "package": "demo", "arguments": arguments, "outcome": "registered"}
    record(root, files={}, registrations=[{**made, "imports": []}])


KINDS = [destroyed, edited, generated, package, registered]


def run_all(run: Run, root: Path, *watched: Path) -> list[click.testing.Result]:
    """Run every command that writes; nothing that is watched may change, and nothing may fail with a traceback."""
    before = [snapshot(folder) for folder in watched]
    results = []
    for command in COMMANDS:
        result = run(*command, cwd=root.name)
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exc_info)
        assert [snapshot(folder) for folder in watched] == before, command
        results.append(result)
    return results


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "path", ["../home/.profile", "{home}/.profile", "demo/../../home/.profile", ".git/config", ".GIT/config", ".git"]
)
def test_a_recorded_path_that_leads_away(
    run: Run, repository: Path, outside: Path, kind: Callable[[Path, str], None], path: str
) -> None:
    kind(repository, path.format(home=outside))
    results = run_all(run, repository, outside, repository / ".git")
    assert "is damaged" in results[0].output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        ("docs", "../home", "docs/.profile"),
        ("docs", "../home/.ssh", "docs/authorized_keys"),
        ("docs", "../home/.ssh", "docs/new/folder/authorized_keys"),
        ("notes.txt", "../home/.profile", "notes.txt"),
        ("notes.txt", "../home/.ssh/authorized_keys", "notes.txt"),
        ("docs", ".git", "docs/config"),
        ("docs", ".git/hooks", "docs/pre-commit"),
        ("conf", ".git/config", "conf"),
    ],
)
def test_a_link_that_leads_away(
    run: Run, repository: Path, outside: Path, kind: Callable[[Path, str], None], link: str, target: str, path: str
) -> None:
    (repository / link).symlink_to(target)
    (repository / ".git" / "config").write_text(f"[core]\n\tbare = false\n#{TEXT}")
    kind(repository, path)
    run_all(run, repository, outside, repository / ".git")


@pytest.mark.parametrize("link", [".falconws", ".falconws/operations", "demo", "demo/resources", "tests"])
def test_a_folder_of_the_project_that_is_a_link(run: Run, demo: Path, outside: Path, link: str) -> None:
    moved = outside / "moved"
    (demo / link).rename(moved)
    (demo / link).symlink_to(moved)
    run_all(run, demo, outside)


@pytest.mark.parametrize(
    "link", ["pyproject.toml", "demo/routes.py", "demo/app.py", "tests/conftest.py", ".falconws/.gitattributes"]
)
def test_a_file_of_the_project_that_is_a_link(run: Run, demo: Path, outside: Path, link: str) -> None:
    moved = outside / "moved"
    (demo / link).rename(moved)
    (demo / link).symlink_to(moved)
    run_all(run, demo, outside)


def test_a_link_inside_of_the_project_stays_a_link(run: Run, demo: Path) -> None:
    (demo / "demo/routes.py").rename(demo / "demo/all_routes.py")
    (demo / "demo/routes.py").symlink_to("all_routes.py")
    do(run, "add-resource", "chat")
    assert (demo / "demo/routes.py").is_symlink()
    assert "ChatResource" in (demo / "demo/all_routes.py").read_text()


def test_what_python_cached_is_removed_in_the_project_only(run: Run, demo: Path, outside: Path) -> None:
    do(run, "add-resource", "evil")
    (demo / "demo/resources/__pycache__").symlink_to(outside / "__pycache__")
    run_all(run, demo, outside)


@pytest.mark.parametrize(
    "name",
    ["dot_git/hooks/pre-commit", "dot_git/config", "dot_./evil", "a/dot_./dot_./evil", "docs/evil", "DOT_git/../x"],
)
def test_the_name_of_a_template(run: Run, repository: Path, outside: Path, name: str) -> None:
    (repository / "docs").symlink_to(outside)
    template = repository / ".falconws/templates/resource/echo" / name
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text("#!/bin/sh\n")
    run_all(run, repository, outside, repository / ".git")
    assert not (repository.parent / "evil").exists()


@pytest.mark.parametrize("where", ["templates", "templates/resource/echo", "templates/resource/echo/secret.txt"])
def test_a_template_that_is_a_link_is_not_read(run: Run, demo: Path, outside: Path, where: str) -> None:
    tree = outside / "resource" / "echo"
    tree.mkdir(parents=True)
    (tree / "secret.txt").write_text("the secret\n")
    link = demo / ".falconws" / where
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(
        {"templates": outside, "templates/resource/echo": tree}.get(where, tree / "secret.txt"),
    )
    result = run("add-resource", "chat", cwd="demo")
    assert result.exit_code == 1
    assert "leads through a link" in result.stderr
    assert not list(demo.glob("secret*"))


def test_own_templates_are_announced_before_they_are_used(run: Run, demo: Path) -> None:
    template = demo / ".falconws/templates/resource/echo/notes.txt"
    template.parent.mkdir(parents=True)
    template.write_text("theirs\n")
    said = "Using the project's own templates in .falconws/templates/ for resource/echo.\n"
    assert run("add-resource", "chat", cwd="demo").stderr == said
    assert run("upgrade", "--check", cwd="demo").stderr == said
    assert run("add-middleware", "log", "--kind", "logging", cwd="demo").stderr == ""


def test_git_runs_nothing_that_the_repository_names(run: Run, repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    script.chmod(0o755)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "add", "-A"], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], cwd=repository, check=True)
    for name, value in {
        "core.fsmonitor": str(script),
        "core.hooksPath": str(tmp_path / "hooks"),
        "filter.evil.clean": str(script),
        "filter.evil.process": str(script),
        "filter.evil.required": "true",
        "gpg.program": str(script),
        "log.showSignature": "true",
        "core.pager": str(script),
        "diff.external": str(script),
        "core.askPass": str(script),
    }.items():
        subprocess.run(["git", "config", name, value], cwd=repository, check=True)
    (tmp_path / "hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
        (tmp_path / "hooks" / hook).symlink_to(script)
    (repository / ".gitattributes").write_text("* filter=evil\n")
    for file in repository.rglob("*.py"):
        os.utime(file, (1, 1))
    for command in (["upgrade", "--check"], ["undo"], ["add-resource", "chat"], ["status"], ["upgrade"]):
        run(*command, cwd="demo")
    template = repository / ".falconws/templates/resource/echo/notes.txt"
    template.parent.mkdir(parents=True)
    template.write_text("new\n")
    assert "commit or stash first" in run("upgrade", cwd="demo").stderr
    assert not marker.exists()


def test_a_record_that_is_too_large_is_not_read(run: Run, demo: Path) -> None:
    with open(demo / ".falconws/operations" / f"{NAME}.json", "wb") as file:
        file.truncate(1_000_000_000)
    assert "is damaged: it is larger than" in run("status", cwd="demo").stdout
    _, document = operation_of(demo, "echo")
    document["files"] = {"demo/large.py": ["x" * 2_000_000]}
    record(demo, NAME, **document)
    assert "a text is larger than 1000000 bytes" in run("status", cwd="demo").stdout


def test_a_text_of_the_user_s_that_is_too_large_is_not_recorded(run: Run, demo: Path) -> None:
    routes = demo / "demo/routes.py"
    large = routes.read_text() + "# " + "x" * 1_100_000 + "\n"
    routes.write_text(large)
    do(run, "add-resource", "chat")
    assert operation_of(demo, "chat")[0].stat().st_size < 100_000
    do(run, "undo")
    assert routes.read_text() == large


JUNK = st.sampled_from([None, 0, True, "", "x", "../x", [], ["x"], {}, {"x": "y"}, "demo/app.py", "route", "\0"])


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_record_makes_a_command_fail_with_a_traceback(
    run: Run, demo: Path, outside: Path, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(operation_files(demo)))
    text = file.read_text()
    document = json.loads(text)
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(JUNK)
    file.write_text(json.dumps(document))
    before = snapshot(outside)
    for command in (
        ["status"],
        ["undo", "--dry-run"],
        ["upgrade", "--check"],
        ["destroy", "resource", "echo", "--dry-run"],
    ):
        result = run(*command, cwd="demo")
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exc_info)
    assert snapshot(outside) == before
    file.write_text(text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize(
    "place", [f".falconws/operations/{NAME}.json", "demo/routes.py", "demo/resources/evil.py", "pyproject.toml"]
)
def test_a_pipe_keeps_no_command_waiting(demo: Path, place: str) -> None:
    generated(demo, "demo/resources/evil.py")
    (demo / place).unlink(missing_ok=True)
    os.mkfifo(demo / place)
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "falconws_cli", *command], cwd=demo, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr
