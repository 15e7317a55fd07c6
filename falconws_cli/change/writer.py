"""The only code that touches the user's disk: a whole plan is written, or nothing is.

Three phases. *Staging* writes every new text to a temporary name in its own folder, and keeps what is going to be
replaced under another one; all that can fail for want of space or rights fails here, in front of everything a user
can see. *Renaming* puts them into place; signals wait. *Tidying* removes what was kept. Until tidying begins, whatever
goes wrong is taken back, Ctrl+C included. Knows nothing of templates.
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
    """What becomes of a path."""

    CREATE = "create"
    UPDATE = "update"
    IDENTICAL = "identical"
    DELETE = "delete"
    CONFLICT = "conflict"
    SKIP = "skip"


def compare(root: Path, file: PlannedFile) -> Status:
    """Return what writing *file* below *root* would mean."""
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
    """Return what is at the place of *file*, or None.

    Raises:
        OSError: It is a folder, or cannot be read.
        CommandError: It leads out of the project.
    """
    path = resolve_inside(root, file.path)
    return path.read_bytes() if path.exists() or path.is_symlink() else None


def commit(root: Path, files: Sequence[PlannedFile]) -> None:
    """Write, or delete, *files* below *root*: all of them, or none.

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
        raise ConflictError(
            f"{names}: in the way, and not ours to overwrite; move it away or choose another name. Nothing was written."
        )
    undo: list[Callable[[], None]] = []
    with _one_interruption() as interruption:
        staged = []
        try:
            # No comprehension: from Python 3.12 on, what interrupts an inlined one can pass this `try` by.
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
            # All is in place: what cannot be tidied up must not undo that.
            with suppress(Exception):
                step.tidy(root)


class _Step:
    """One file on its way: the new text under *temporary*, None for a deletion; the present one kept under *backup*."""

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

    def tidy(self, root: Path) -> None:
        if self.backup is not None:
            self.backup.unlink(missing_ok=True)
        if self.temporary is None:
            _forget_module(self.target, root)


def _stage(root: Path, file: PlannedFile, status: Status, undo: list[Callable[[], None]]) -> _Step:
    path = resolve_inside(root, file.path)
    token = f".{path.name}.{os.urandom(4).hex()}"
    if status is Status.DELETE:
        return _Step(path, None, path.with_name(token + ".before"))
    # A link keeps being a link: what it points to is what changes.
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
    _keep(target, backup)
    return _Step(target, temporary, backup)


def _keep(target: Path, backup: Path) -> None:
    """Give the file at *target* a second name, so that it can be had back as it is."""
    try:
        os.link(target, backup)
    except (OSError, NotImplementedError):
        # A file system without hard links, or a file of somebody else's.
        backup.write_bytes(target.read_bytes())
        backup.chmod(target.stat().st_mode & 0o7777)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


def _forget_module(target: Path, root: Path) -> None:
    """Remove what Python cached of a module that is gone, and the folders that are empty without it."""
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
    """Whether a signal may still end what is being done."""

    def __init__(self) -> None:
        self.expected = True

    def __call__(self, number: int, _: FrameType | None) -> None:
        if not self.expected:
            return
        # Once: what is being taken back then must come to its end.
        self.expected = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


@contextmanager
def _one_interruption() -> Iterator[_Interruption]:
    """Turn the first signal into an exception, and ignore the next, or all once none is expected."""
    interruption = _Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {}
    try:
        for number in _SIGNALS:
            # A signal that is ignored, by nohup for example, stays so; None is a handler that Python cannot restore.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, interruption)
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
