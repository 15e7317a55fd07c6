"""The lock of a project, on systems that lock folders and on Windows, which locks files."""

import errno
import fcntl
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from falconws_cli.change import lock
from falconws_cli.change.lock import exclusive
from falconws_cli.errors import CommandError
from tests.cli.recorder import tree

WAIT_S = 60.0


class Msvcrt(ModuleType):
    """Windows' module, as far as the lock needs it, over flock()."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        """Lock, or fail as the C runtime does."""
        assert (mode, count) == (self.LK_NBLCK, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


@pytest.fixture(params=["folders", "files"], autouse=True)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The system, which locks folders or only files."""
    if request.param == "files":
        monkeypatch.setitem(sys.modules, "fcntl", None)
        monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    system: str = request.param
    return system


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_the_second_waits_until_the_first_has_ended(root: Path) -> None:
    events: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with exclusive(root):
            events.append("second")

    thread = threading.Thread(target=second)
    with exclusive(root):
        thread.start()
        assert waiting.wait(WAIT_S)
        events.append("first")
    thread.join(WAIT_S)
    assert events == ["first", "second"]
    assert tree(root) == {}


def test_a_link_to_the_project_is_the_same_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    monkeypatch.setattr(lock, "WAIT_S", 0.0)
    with exclusive(root), pytest.raises(CommandError, match="Another falconws command is running"), exclusive(link):
        pass
    with exclusive(link):
        pass


def test_another_project_is_free(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = root.with_name("other")
    other.mkdir()
    monkeypatch.setattr(lock, "WAIT_S", 0.0)
    with exclusive(root), exclusive(other):
        pass


def test_a_folder_that_is_not_there_has_no_lock(root: Path, system: str) -> None:
    with exclusive(root / "gone"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_no_obstacle(root: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *arguments: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(root):
        pass
