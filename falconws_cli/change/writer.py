"""The only code that changes the project: all files of a plan are written, or none.

Three phases. *Staging* writes each new text to a temporary file in its folder, and links each file to be replaced to a
backup; everything that can fail for lack of space or permissions fails here. *Renaming* moves the temporary files into
place; signals are ignored. *Cleaning up* removes the backups. Until then, any failure is rolled back, Ctrl+C included.
Knows nothing of templates.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from types import FrameType

from falconws_cli.change.paths import resolve_inside
from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError, ConflictError

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Status(Enum):
    """The change of a path."""

    CREATE = "create"
    UPDATE = "update"
    IDENTICAL = "identical"
    DELETE = "delete"
    CONFLICT = "conflict"
    SKIP = "skip"


def compare(root: Path, file: PlannedFile) -> Status:
    """Return the change that writing *file* below *root* would make."""
    try:
        current = read_current(root, file)
    except OSError:
        return Status.CONFLICT
    if file.delete:
        if current is None:
            return Status.IDENTICAL
        return Status.DELETE if current == file.before else Status.CONFLICT
    if current == file.data:
        return Status.IDENTICAL
    if current is None:
        return Status.CREATE if file.before is None else Status.CONFLICT
    return Status.UPDATE if current == file.before else Status.CONFLICT


def read_current(root: Path, file: PlannedFile) -> bytes | None:
    """Return the present content of *file*, or None if there is no file.

    Raises:
        OSError: It is a folder, or cannot be read.
        CommandError: It leads out of the project.
    """
    path = resolve_inside(root, file.path)
    return path.read_bytes() if path.exists() or path.is_symlink() else None


def commit(root: Path, files: Sequence[PlannedFile]) -> None:
    """Write or delete *files* below *root*: all of them, or none.

    Raises:
        ConflictError: A file is in the way, or has changed since it was read. Nothing was written.
        CommandError: A file cannot be written. The disk is as it was.
    """
    statuses = [(file, compare(root, file)) for file in files]
    conflicts = [file for file, status in statuses if status is Status.CONFLICT]
    if conflicts:
        names = ", ".join(str(file.path) for file in conflicts)
        if all(file.before is not None for file in conflicts):
            raise ConflictError(f"{names}: changed while the command ran; run it again. Nothing was written.")
        raise ConflictError(f"{names}: in the way; move it away or choose another name. Nothing was written.")
    undo: list[Callable[[], None]] = []
    with _one_interruption() as interruption:
        staged = []
        try:
            # Not a comprehension: since Python 3.12, an interruption of an inlined one can miss this `try`.
            for file, status in statuses:
                if status is not Status.IDENTICAL:
                    staged.append(_stage(root, file, status, undo))
            interruption.expected = False
            for step in staged:
                step.rename(undo)
        except BaseException as error:
            interruption.expected = False
            for action in reversed(undo):
                with suppress(OSError):
                    action()
            if isinstance(error, OSError):
                what = (error.strerror or str(error)).lower()
                where = error.filename2 or error.filename or root
                raise CommandError(f"Cannot write {where}: {what}. Nothing was changed.") from error
            raise
        for step in staged:
            # All files are in place: a failed cleanup must not roll them back.
            with suppress(Exception):
                step.clean_up(root)


class _Step:
    """A staged file: *temporary* has the new text, None for a deletion; *backup* is the present file."""

    def __init__(self, target: Path, temporary: Path | None, backup: Path | None) -> None:
        self.target = target
        self.temporary = temporary
        self.backup = backup

    def rename(self, undo: list[Callable[[], None]]) -> None:
        target, backup = self.target, self.backup
        if self.temporary is None:
            assert backup is not None
            undo.append(lambda: _rename(backup, target))
            _rename(target, backup)
            return
        if backup is not None:
            undo.append(lambda: _rename(backup, target))
        else:
            undo.append(lambda: target.unlink(missing_ok=True))
        _rename(self.temporary, target)

    def clean_up(self, root: Path) -> None:
        if self.backup is not None:
            self.backup.unlink(missing_ok=True)
        if self.temporary is None:
            _remove_bytecode(self.target, root)


def _stage(root: Path, file: PlannedFile, status: Status, undo: list[Callable[[], None]]) -> _Step:
    path = resolve_inside(root, file.path)
    token = f".{path.name}.{os.urandom(4).hex()}"
    if status is Status.DELETE:
        return _Step(path, None, path.with_name(token + ".before"))
    # Write through a link: it stays a link, and its target changes.
    target = path.resolve()
    for folder in reversed([folder for folder in target.parents if not folder.exists()]):
        undo.append(folder.rmdir)
        folder.mkdir()
    temporary = target.with_name(token)
    undo.append(lambda: temporary.unlink(missing_ok=True))
    with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, file.mode)) as stream:
        stream.write(file.data)
    if status is Status.CREATE:
        return _Step(target, temporary, None)
    temporary.chmod(target.stat().st_mode & 0o7777)
    backup = target.with_name(token + ".before")
    undo.append(lambda: backup.unlink(missing_ok=True))
    _back_up(target, backup)
    return _Step(target, temporary, backup)


def _back_up(target: Path, backup: Path) -> None:
    """Give the file at *target* a second name, so that it can be restored."""
    try:
        os.link(target, backup)
    except (OSError, NotImplementedError):
        # The file system has no hard links, or the file belongs to another user.
        backup.write_bytes(target.read_bytes())
        backup.chmod(target.stat().st_mode & 0o7777)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


def _remove_bytecode(target: Path, root: Path) -> None:
    """Remove the bytecode of a deleted module, and the folders that are empty without it."""
    cache = target.with_name("__pycache__")
    if cache.is_dir() and not cache.is_symlink():
        for entry in cache.iterdir():
            if entry.suffix == ".pyc" and entry.name.split(".")[0] == target.stem:
                entry.unlink()
        with suppress(OSError):
            cache.rmdir()
    for folder in target.parents:
        if folder == root or root not in folder.parents:
            return
        folder.rmdir()


class _Interruption:
    """Turns a signal into an exception, as long as one is expected."""

    def __init__(self) -> None:
        self.expected = True

    def __call__(self, number: int, _: FrameType | None) -> None:
        if not self.expected:
            return
        # Only once: the rollback must not be interrupted.
        self.expected = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


@contextmanager
def _one_interruption() -> Iterator[_Interruption]:
    """Turn the first signal into an exception and ignore all others; ignore all once none is expected."""
    interruption = _Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {}
    try:
        for number in _SIGNALS:
            # An ignored signal stays ignored, under nohup for example; Python cannot restore a handler that is None.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, interruption)
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
