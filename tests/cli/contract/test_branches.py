"""What two branches have done, merged by git: the record stays true, and undo leads back, step by step."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from falconws_cli.templating.templates import IN_PROJECT, find_root
from tests.cli.conftest import Run, do
from tests.cli.git import commit, git
from tests.cli.recorder import tree

ECHO = "resource/echo/%package_dir%/resources/%module%.py.jinja"
CHAT, DUPLEX = ("add-resource", "chat"), ("add-resource", "chat", "--pattern", "duplex")
ORJSON = ("add-media-handler", "fast", "--payload", "text", "--codec", "orjson")


def contents(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in tree(root).items() if not path.startswith((".falconws/", ".git/"))}


def states(run: Run) -> dict[str, str]:
    document = json.loads(do(run, "status", "--json"))
    return {file["path"]: file["state"] for operation in document["operations"] for file in operation["files"]}


@dataclass(frozen=True)
class Branches:
    """What was done before two branches, on each of them, and how often undo then leads back."""

    ours: tuple[tuple[str, ...], ...]
    theirs: tuple[tuple[str, ...], ...]
    before: tuple[tuple[str, ...], ...] = ()
    conflicts: bool = False
    """Whether both have made a file with another text. We keep ours."""
    undone: int = 2


BRANCHES = {
    "both add the same": Branches((CHAT,), (CHAT,)),
    "both add it with other options": Branches((CHAT,), (DUPLEX,), conflicts=True),
    "both add it with a dependency": Branches((ORJSON,), (ORJSON,)),
    "both remove the same": Branches((("remove-resource", "chat"),), (("remove-resource", "chat"),), before=(CHAT,)),
    "one adds and takes back": Branches((CHAT, ("undo",)), (CHAT,), undone=1),
}


@pytest.fixture
def merged(run: Run, repository: Path) -> Callable[[Branches], dict[str, bytes]]:
    """Merge two branches; return what the project was before them."""

    def merge(branches: Branches) -> dict[str, bytes]:
        for words in branches.before:
            do(run, *words)
        before = contents(repository)
        commit(repository)
        git(repository, "checkout", "-q", "-b", "theirs")
        for words in branches.theirs:
            do(run, *words)
        commit(repository)
        git(repository, "checkout", "-q", "main")
        for words in branches.ours:
            do(run, *words)
        commit(repository)
        git(repository, "merge", "-q", "--no-edit", "theirs", code=1 if branches.conflicts else 0)
        if branches.conflicts:
            git(repository, "checkout", "--ours", ".")
            commit(repository)
        return before

    return merge


@pytest.mark.parametrize("name", BRANCHES)
def test_the_record_stays_true_and_undo_leads_back(
    run: Run, repository: Path, merged: Callable[[Branches], dict[str, bytes]], name: str
) -> None:
    before = merged(BRANCHES[name])
    assert set(states(run).values()) == {"intact"}
    for _ in range(BRANCHES[name].undone):
        do(run, "undo")
        assert set(states(run).values()) == {"intact"}
        do(run, "upgrade", "--check")
    assert contents(repository) == before


@pytest.mark.parametrize("name", ["both add the same", "both add it with other options"])
def test_what_both_have_added_is_removed_once_and_brought_back(
    run: Run, repository: Path, merged: Callable[[Branches], dict[str, bytes]], name: str
) -> None:
    before = merged(BRANCHES[name])
    there = tree(repository)
    do(run, "remove-resource", "chat")
    assert contents(repository) == before
    assert do(run, "undo").count("the route /chat") == 1
    assert {path: data for path, data in tree(repository).items() if ".git/" not in path} == {
        path: data for path, data in there.items() if ".git/" not in path
    }


def test_nothing_is_half_removed_while_a_merge_has_conflicts(run: Run, repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "theirs")
    do(run, "add-middleware", "log", "--kind", "logging")
    commit(repository)
    git(repository, "checkout", "-q", "main")
    do(run, "add-middleware", "audit")
    commit(repository)
    git(repository, "merge", "-q", "--no-edit", "theirs", code=1)
    before = contents(repository)
    for words in (("undo",), ("remove-middleware", "log")):
        said = do(run, *words, code=ExitCode.FAILURE)
        assert "demo/app.py has conflict markers of a merge, so the middleware " in said
    assert contents(repository) == before


def test_the_undo_of_one_says_that_the_other_stays(run: Run, merged: Callable[[Branches], dict[str, bytes]]) -> None:
    merged(BRANCHES["both add the same"])
    assert "What `falconws add-resource chat` made stays; another `falconws undo` removes it." in do(run, "undo")


def change_template(root: Path) -> None:
    """Give the project a template of its own for the pattern echo."""
    own = root / IN_PROJECT / ECHO
    own.parent.mkdir(parents=True)
    shutil.copy(find_root() / ECHO, own)
    own.write_text(own.read_text() + "\n# New.\n")


def test_two_branches_that_both_upgrade_merge_without_a_conflict(run: Run, repository: Path) -> None:
    do(run, *CHAT)
    change_template(repository)
    commit(repository)
    git(repository, "checkout", "-q", "-b", "theirs")
    do(run, "upgrade")
    commit(repository)
    git(repository, "checkout", "-q", "main")
    do(run, "upgrade")
    commit(repository)
    git(repository, "merge", "-q", "--no-edit", "theirs")
    assert set(states(run).values()) == {"intact"}
    do(run, "upgrade", "--check")
    assert "is older than the upgrade to falconws" in do(run, "undo", code=ExitCode.USAGE)


def test_an_upgrade_keeps_what_was_recorded_as_moved(run: Run, repository: Path) -> None:
    do(run, *CHAT)
    old, new = repository / "demo/resources/chat.py", repository / "demo/resources/talk.py"
    old.rename(new)
    routes = repository / "demo/routes.py"
    routes.write_text(routes.read_text().replace("resources.chat", "resources.talk"))
    do(run, "moved", "demo/resources/chat.py", "demo/resources/talk.py")
    change_template(repository)
    commit(repository)
    do(run, "upgrade")
    assert new.read_text().endswith("\n# New.\n")
    assert set(states(run).values()) == {"intact"}
