"""All or nothing: whatever fails, and whenever, the disk is as it was."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import FrameType

import pytest

from falconws_cli.change import writer
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.writer import Status, commit, compare
from falconws_cli.errors import CommandError, ConflictError

NEW = PlannedFile(PurePosixPath("pkg/sub/new.py"), b"new\n")
CHANGED = PlannedFile(PurePosixPath("changed.py"), b"after\n", before=b"before\n")
SAME = PlannedFile(PurePosixPath("same.py"), b"same\n")
LINKED = PlannedFile(PurePosixPath("link.py"), b"after too\n", before=b"before too\n")
OTHER = PlannedFile(PurePosixPath("pkg/other.py"), b"")
GONE = PlannedFile(PurePosixPath("old/tests/gone.py"), b"", before=b"gone\n", delete=True)
PLAN = [NEW, CHANGED, SAME, LINKED, OTHER, GONE]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def make_project(root: Path) -> Path:
    root.mkdir()
    (root / "changed.py").write_bytes(b"before\n")
    (root / "changed.py").chmod(0o640)
    (root / "same.py").write_bytes(b"same\n")
    (root / "target.py").write_bytes(b"before too\n")
    (root / "link.py").symlink_to("target.py")
    (root / "old" / "tests").mkdir(parents=True)
    (root / "old" / "tests" / "gone.py").write_bytes(b"gone\n")
    (root / "old" / "tests" / "gone.py").chmod(0o755)
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
_failure: Callable[[], None] | None = None
_countdown = 0


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    global _countdown, _failure
    if _failure is None or not event.startswith(("open", "os.", "tempfile.", "shutil.")):
        return
    _countdown -= 1
    if _countdown < 0:
        failure, _failure = _failure, None
        failure()


sys.addaudithook(_hook)


@contextmanager
def failing_after(steps: int, failure: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Fail once in the block, after so many steps; yield what tells whether it came to that."""
    global _countdown, _failure
    _countdown, _failure = steps, failure
    try:
        yield lambda: _failure is None
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


def disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "disk")


def out_of_memory() -> None:
    raise MemoryError


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def be_terminated() -> None:
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("failure", "raised", "at_least"),
    [
        # Folders, temporary files, second names, modes, renames; and once more for the copy where a link fails.
        (disk_full, CommandError, 20),
        (out_of_memory, MemoryError, 20),
        # From the first rename on, these wait.
        (press_ctrl_c, KeyboardInterrupt, 8),
        (be_terminated, SystemExit, 8),
    ],
)
@pytest.mark.parametrize("links", [True, False])
def test_a_failure_at_any_step_leaves_the_disk_as_it_was(
    root: Path,
    failure: Callable[[], None],
    raised: type[BaseException],
    at_least: int,
    links: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not links:
        monkeypatch.setattr(writer.os, "link", no_links)
    failures = survived = 0
    # A signal that nobody expects, before and after the transaction, must not end the test.
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for step in range(1000):
            project = make_project(root / str(step))
            before = snapshot(project)
            try:
                with failing_after(step, failure) as failed:
                    commit(project, PLAN)
                    if not failed():
                        break
                    # What cannot be tidied up fails nothing, and neither does a link that a copy can replace.
                    survived += 1
            except raised:
                failures += 1
                assert snapshot(project) == before, f"step {step}"
            else:
                assert (project / "changed.py").read_bytes() == b"after\n"
                assert not (project / GONE.path).exists()
        else:
            pytest.fail("the commit has never come to its end")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert failures >= at_least
    assert survived > 0


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


# Between open() and `with`, nobody but the interpreter can close the file; it does.
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_between_any_two_lines_is_all_or_nothing(root: Path) -> None:
    before = snapshot(root)
    countdown = 0

    def trace(frame: FrameType, event: str, _: object) -> "Callable[..., object] | None":
        nonlocal countdown
        if frame.f_code.co_filename != writer.__file__:
            return None
        if event == "line":
            countdown -= 1
            if countdown == 0:
                signal.raise_signal(signal.SIGINT)
        return trace

    interrupted = 0
    tracer = sys.gettrace()
    for step in range(1, 2000):
        countdown = step
        sys.settrace(trace)
        try:
            commit(root, PLAN)
        except KeyboardInterrupt:
            interrupted += 1
            sys.settrace(tracer)
            if snapshot(root) != before:
                break
        else:
            break
        finally:
            sys.settrace(tracer)
    else:
        pytest.fail("the commit has never come to its end")
    assert interrupted > 100
    assert snapshot(root)["changed.py"][1] == b"after\n"
    assert sorted(path.name for path in root.iterdir()) == ["changed.py", "link.py", "pkg", "same.py", "target.py"]


class FailingStream:
    """A file on a disk that is full after the first byte, or only when it is closed, as on NFS."""

    def __init__(self, stream: "object", *, at: str) -> None:
        self._stream = stream
        self._at = at

    def __enter__(self) -> "FailingStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        if self._at == "close":
            disk_full()

    def write(self, data: bytes) -> None:
        self._stream.write(data[:1])
        if self._at == "write":
            disk_full()


@pytest.mark.parametrize("at", ["write", "close"])
@pytest.mark.parametrize("number", range(4))
def test_a_disk_that_is_full_in_the_middle_of_a_file(
    root: Path, at: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(root)
    opened = 0

    def opening(*args: object, **kwargs: object) -> object:
        nonlocal opened
        stream = open(*args, **kwargs)  # noqa: SIM115
        opened += 1
        return FailingStream(stream, at=at) if opened == number + 1 else stream

    monkeypatch.setattr(writer, "open", opening, raising=False)
    with pytest.raises(CommandError, match=r"Nothing was changed\.$"):
        commit(root, PLAN)
    assert snapshot(root) == before


def test_a_file_size_limit_of_the_system(root: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no limit of this kind")
    script = """
        import resource, sys
        from pathlib import Path, PurePosixPath
        from falconws_cli.errors import CommandError, ConflictError
        from falconws_cli.change.plan import PlannedFile
        from falconws_cli.change.writer import commit
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        small = PlannedFile(PurePosixPath("small.py"), b"x")
        large = PlannedFile(PurePosixPath("large.py"), b"x" * 8192)
        try:
            commit(Path(sys.argv[1]), [small, large])
        except CommandError as error:
            print(error)
    """
    before = snapshot(root)
    command = [sys.executable, "-c", textwrap.dedent(script), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "file too large. Nothing was changed." in done.stdout
    assert snapshot(root) == before


def test_a_disk_that_is_really_full(root: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small disk, and not everywhere")
    try:
        (disk / "mine.py").write_bytes(b"mine\n")
        before = snapshot(disk)
        files = [PlannedFile(PurePosixPath(f"made/{n}.py"), b"x" * 20_000) for n in range(8)]
        with pytest.raises(CommandError, match=r"no space left on device\. Nothing was changed\."):
            commit(disk, files)
        assert snapshot(disk) == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("folder", [".", "old/tests"])
def test_a_folder_that_cannot_be_written(root: Path, folder: str) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        # root may write everywhere; in a process of another user it may not.
        done = as_nobody(root, folder)
        assert "permission denied. Nothing was changed." in done
        return
    before = snapshot(root)
    (root / folder).chmod(0o555)
    try:
        with pytest.raises(CommandError, match="permission denied"):
            commit(root, PLAN)
    finally:
        (root / folder).chmod(0o755)
    assert snapshot(root) == before


def as_nobody(root: Path, folder: str) -> str:
    """Commit PLAN as a user without rights, in a folder that is not theirs; return the error."""
    if not hasattr(os, "setuid"):
        pytest.skip("no users to be")
    reader, end = os.pipe()
    for path in (root, *root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    os.chown(root / folder, 0, 0)
    (root / folder).chmod(0o755)
    before = snapshot(root)
    child = os.fork()
    if child == 0:
        try:
            # Folders above may be closed to others: enter first, then become somebody else.
            os.chdir(root)
            os.setgid(65534)
            os.setuid(65534)
            commit(Path(), PLAN)
        except CommandError as error:
            os.write(end, str(error).encode())
        finally:
            os._exit(0)
    os.close(end)
    with open(reader, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    assert snapshot(root) == before
    return said


def test_a_deleted_module_takes_its_cache_and_its_empty_folders_along(root: Path) -> None:
    cache = root / "old" / "tests" / "__pycache__"
    cache.mkdir()
    (cache / "gone.cpython-311.pyc").write_bytes(b"")
    (cache / "gone.cpython-311-pytest-8.4.2.pyc").write_bytes(b"")
    commit(root, [GONE])
    assert not (root / "old").exists()
    assert root.is_dir()


def test_a_folder_with_anything_else_in_it_stays(root: Path) -> None:
    (root / "old" / "notes.txt").write_bytes(b"mine")
    commit(root, [GONE])
    assert sorted(path.name for path in (root / "old").iterdir()) == ["notes.txt"]


def test_a_file_that_changed_since_it_was_read_is_not_deleted(root: Path) -> None:
    (root / GONE.path).write_bytes(b"edited\n")
    with pytest.raises(ConflictError):
        commit(root, [NEW, GONE])
    assert (root / GONE.path).read_bytes() == b"edited\n"
    assert not (root / NEW.path).exists()


def test_what_is_gone_already_need_not_be_deleted(root: Path) -> None:
    (root / GONE.path).unlink()
    assert compare(root, GONE) is Status.IDENTICAL
    commit(root, [GONE])


@pytest.mark.parametrize("path", ["../outside.py", "/outside.py", "pkg/../../outside.py"])
def test_nothing_is_written_outside_of_the_project(root: Path, path: str) -> None:
    with pytest.raises(CommandError, match="is not a path inside the project"):
        commit(root, [NEW, PlannedFile(PurePosixPath(path), b"")])
    assert not (root / NEW.path).exists()
