"""The only code that touches the user's disk: a whole plan is written, or nothing is.

Every file is first written to a temporary name in its own folder; only when all of them are there are they renamed
into place. Whatever goes wrong, Ctrl+C included, what was done is taken back. Knows nothing of templates.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from falconws_cli.errors import CommandError, ConflictError
from falconws_cli.plan import PlannedFile


class Status(Enum):
    """How a planned file compares with the disk."""

    CREATE = "create"
    UPDATE = "update"
    IDENTICAL = "identical"
    CONFLICT = "conflict"


def compare(root: Path, file: PlannedFile) -> Status:
    """Return what writing *file* below *root* would mean."""
    path = root / file.path
    try:
        current = path.read_bytes() if path.exists() or path.is_symlink() else None
    except OSError:
        return Status.CONFLICT
    if current == file.data:
        return Status.IDENTICAL
    if current is None:
        return Status.CREATE if file.before is None else Status.CONFLICT
    return Status.UPDATE if current == file.before else Status.CONFLICT


def commit(root: Path, files: Sequence[PlannedFile]) -> None:
    """Write *files* below *root*, all or none.

    Raises:
        CommandError: A file is in the way, has changed since it was read, or cannot be written. The disk is as
            it was.
    """
    statuses = [(file, compare(root, file)) for file in files]
    conflicts = [str(file.path) for file, status in statuses if status is Status.CONFLICT]
    if conflicts:
        raise ConflictError(
            f"{', '.join(conflicts)}: in the way, and not ours to overwrite; "
            "move it away or choose another name. Nothing was written."
        )
    undo: list[Callable[[], None]] = []
    try:
        staged = [_stage(root, file, undo) for file, status in statuses if status is not Status.IDENTICAL]
        # From here on the end is a few renames away: Ctrl+C no longer stops it.
        with _undisturbed():
            for temporary, target in staged:
                _move_into_place(temporary, target, undo)
            for temporary, _ in staged:
                # All is in place: a backup that cannot be removed must not undo that.
                with suppress(Exception):
                    _backup_of(temporary).unlink(missing_ok=True)
    except BaseException as error:
        with _undisturbed():
            for step in reversed(undo):
                with suppress(OSError):
                    step()
        if isinstance(error, OSError):
            what = (error.strerror or str(error)).lower()
            where = error.filename2 or error.filename or root
            raise CommandError(f"Cannot write {where}: {what}. Nothing was changed.") from error
        raise


def _stage(root: Path, file: PlannedFile, undo: list[Callable[[], None]]) -> tuple[Path, Path]:
    """Write *file* to a temporary name beside its place; return both."""
    # A link keeps being a link: what it points to is what changes.
    target = (root / file.path).resolve()
    for folder in reversed([folder for folder in target.parents if not folder.exists()]):
        undo.append(folder.rmdir)
        folder.mkdir()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    undo.append(lambda: temporary.unlink(missing_ok=True))
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.data)
    mode = target.stat().st_mode & 0o7777 if target.exists() else file.mode & ~_umask()
    temporary.chmod(mode)
    return temporary, target


def _move_into_place(temporary: Path, target: Path, undo: list[Callable[[], None]]) -> None:
    if target.exists():
        backup = _backup_of(temporary)
        undo.append(lambda: backup.unlink(missing_ok=True))
        backup.write_bytes(target.read_bytes())
        backup.chmod(target.stat().st_mode & 0o7777)
        # Only a backup that is complete may ever take the target's place.
        undo.append(lambda: _rename(backup, target))
    else:
        undo.append(lambda: target.unlink(missing_ok=True))
    _rename(temporary, target)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


def _backup_of(temporary: Path) -> Path:
    return temporary.with_name(temporary.name + ".before")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl+C: what runs here must come to its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
