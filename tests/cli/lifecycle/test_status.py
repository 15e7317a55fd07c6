"""`falconws status`: which generated files are edited, missing, or have conflict markers."""

import json
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run, do


def converted(demo: Path) -> None:
    for path in demo.rglob("*"):
        if path.is_file() and path.suffix in (".py", ".toml", ".json"):
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_status_tells_edited_from_missing_and_from_registered(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    assert "21 generated files: 21 intact, 0 edited, 0 missing." in do(run, "status")
    (demo / "demo" / "app.py").write_text("# Mine.\n")
    (demo / "tests" / "resources" / "test_chat.py").unlink()
    output = do(run, "status")
    assert "    edited  demo/app.py\n" in output
    assert "   missing  tests/resources/test_chat.py\n" in output
    assert "21 generated files: 19 intact, 1 edited, 1 missing." in output
    assert "falconws add-resource chat (falconws " in output


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_status_and_doctor_tell_conflict_markers_whoever_has_merged(run: Run, demo: Path, newline: str) -> None:
    routes = demo / "demo" / "routes.py"
    ours, theirs = 'app.add_route("/healthz", One())', 'app.add_route("/healthz", Other())'
    conflict = f"<<<<<<< HEAD\n    {ours}\n=======\n    {theirs}\n>>>>>>> other\n"
    routes.write_bytes((routes.read_text() + conflict).replace("\n", newline).encode())
    output = do(run, "status", code=ExitCode.MERGE_CONFLICTS)
    assert "  conflict  demo/routes.py (conflict markers of a merge: resolve them)\n" in output
    assert output.endswith(": 18 intact, 0 edited, 0 missing, 1 with conflict markers.\n")
    assert json.loads(do(run, "status", "--json", code=ExitCode.MERGE_CONFLICTS))["counts"]["conflict"] == 1
    assert "demo/routes.py has conflict markers" in run("doctor", cwd="demo").output


def test_what_add_has_merged_is_no_intact_file_before_it_is_settled(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text(module.read_text().replace("class ChatResource", "class MyChatResource"))
    do(run, "add-resource", "chat", "--pattern", "duplex", "--merge", code=ExitCode.MERGE_CONFLICTS)
    assert "  conflict  demo/resources/chat.py" in do(run, "status", code=ExitCode.MERGE_CONFLICTS)
    lines = module.read_text().splitlines()
    module.write_text("\n".join(line for line in lines if not line.startswith(("<<<<<<<", ">>>>>>>"))))
    assert "    edited  demo/resources/chat.py" in do(run, "status")


def test_line_ends_that_git_made_are_no_edit(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    converted(demo)
    assert "21 intact, 0 edited" in do(run, "status")
    do(run, "undo")
    routes = (demo / "demo" / "routes.py").read_bytes()
    assert b"ChatResource" not in routes
    assert routes.count(b"\r\n") == routes.count(b"\n")
    assert not (demo / "demo" / "resources" / "chat.py").exists()
