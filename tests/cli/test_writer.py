import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from falconws_cli.errors import CommandError
from falconws_cli.plan import PlannedFile
from falconws_cli.writer import Status, commit, compare

NEW = PlannedFile(PurePosixPath("pkg/sub/new.py"), b"new\n")
CHANGED = PlannedFile(PurePosixPath("changed.py"), b"after\n", before=b"before\n")
SAME = PlannedFile(PurePosixPath("same.py"), b"same\n")
LINKED = PlannedFile(PurePosixPath("link.py"), b"after too\n", before=b"before too\n")
PLAN = [NEW, CHANGED, SAME, LINKED, PlannedFile(PurePosixPath("pkg/other.py"), b"")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "changed.py").write_bytes(b"before\n")
    (root / "changed.py").chmod(0o640)
    (root / "same.py").write_bytes(b"same\n")
    (root / "target.py").write_bytes(b"before too\n")
    (root / "link.py").symlink_to("target.py")
    return root


def snapshot(root: Path) -> dict[str, tuple[str, bytes, int]]:
    """Everything below *root*, with content and mode."""
    found = {}
    for path in sorted(root.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(root))] = (kind, content, stat.S_IMODE(path.stat().st_mode))
    return found


# A failure at the n-th thing that the process asks of the system: the hook stays, and is armed for one block only.
_failure: Callable[[], BaseException] | None = None
_countdown = 0


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    global _countdown, _failure
    if _failure is None or not event.startswith(("open", "os.", "tempfile.", "shutil.")):
        return
    _countdown -= 1
    if _failure is KeyboardInterrupt and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    if _countdown < 0:
        failure, _failure = _failure, None
        raise failure()


sys.addaudithook(_hook)


@contextmanager
def failing_after(steps: int, failure: Callable[[], BaseException]) -> Iterator[None]:
    global _countdown, _failure
    _countdown, _failure = steps, failure
    try:
        yield
    finally:
        _failure = None


def test_a_plan_is_written_whole(root: Path) -> None:
    commit(root, PLAN)
    after = snapshot(root)
    assert after["pkg/sub/new.py"][1] == b"new\n"
    assert after["changed.py"] == ("file", b"after\n", 0o640)
    assert after["link.py"][:2] == ("link", b"after too\n")
    assert after["target.py"][1] == b"after too\n"
    assert set(after) == {*snapshot(root), "pkg", "pkg/sub", "pkg/other.py"} == {
        "changed.py", "link.py", "pkg", "pkg/other.py", "pkg/sub", "pkg/sub/new.py", "same.py", "target.py",
    }  # fmt: skip


def test_a_new_file_has_the_mode_that_the_umask_leaves(root: Path) -> None:
    previous = os.umask(0o077)
    try:
        commit(root, [NEW])
    finally:
        os.umask(previous)
    assert stat.S_IMODE((root / NEW.path).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("file", "status"),
    [
        (NEW, Status.CREATE),
        (CHANGED, Status.UPDATE),
        (SAME, Status.IDENTICAL),
        (PlannedFile(PurePosixPath("same.py"), b"other"), Status.CONFLICT),
        (PlannedFile(PurePosixPath("changed.py"), b"after\n", before=b"stale"), Status.CONFLICT),
        (PlannedFile(PurePosixPath("gone.py"), b"after\n", before=b"before"), Status.CONFLICT),
    ],
)
def test_a_file_is_compared_with_the_disk(root: Path, file: PlannedFile, status: Status) -> None:
    assert compare(root, file) is status


def test_a_conflict_is_named_before_anything_is_written(root: Path) -> None:
    before = snapshot(root)
    with pytest.raises(CommandError, match=r"same\.py: in the way"):
        commit(root, [NEW, PlannedFile(PurePosixPath("same.py"), b"other")])
    assert snapshot(root) == before


def test_a_folder_in_the_way_of_a_file_is_a_conflict(root: Path) -> None:
    (root / "pkg" / "sub" / "new.py").mkdir(parents=True)
    before = snapshot(root)
    with pytest.raises(CommandError, match=r"new\.py: in the way"):
        commit(root, [NEW])
    assert snapshot(root) == before


def test_a_file_in_the_way_of_a_folder_changes_nothing(root: Path) -> None:
    (root / "pkg").write_bytes(b"a file")
    before = snapshot(root)
    with pytest.raises(CommandError, match="Nothing was changed"):
        commit(root, PLAN)
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "disk"), CommandError),
        (KeyboardInterrupt, KeyboardInterrupt),
        (MemoryError, MemoryError),
    ],
    ids=["disk full", "Ctrl+C", "out of memory"],
)
def test_a_failure_at_any_step_leaves_the_disk_as_it_was(
    root: Path, failure: Callable[[], BaseException], raised: type[BaseException]
) -> None:
    before = snapshot(root)
    failures = 0
    for step in range(1000):
        try:
            with failing_after(step, failure):
                commit(root, PLAN)
        except raised:
            failures += 1
            assert snapshot(root) == before, f"step {step}"
        else:
            # Past the last rename nothing can fail the whole any more.
            break
    # Comparing, folders, temporary files and modes; without Ctrl+C, backups and renames too.
    assert failures > 15
    assert snapshot(root)["changed.py"][1] == b"after\n"
