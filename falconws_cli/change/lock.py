"""One command at a time in a project, from the plan to the end of the transaction."""

import errno
import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from falconws_cli.errors import CommandError

_POLL_S = 0.05
WAIT_S = 10.0
_BUSY = (errno.EAGAIN, errno.EACCES)
"""What flock() and msvcrt.locking() answer while another process has the lock."""


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Keep other falconws commands out of the project at *root*; wait for one that is running.

    The lock is on the folder itself, or on Windows, which locks only files, on a file in the folder for temporary
    files: nothing is left behind in the project. On a file system without locks, the writer still refuses to overwrite
    what has changed since it was read.

    Raises:
        CommandError: Another command has not ended within `WAIT_S`.
    """
    try:
        descriptor, lock = _open(root)
    except OSError:
        yield
        return
    try:
        deadline = time.monotonic() + WAIT_S
        while not _is_locked(descriptor, lock):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"Another falconws command is running in {root}; wait for it to finish. Nothing was written."
                )
            time.sleep(_POLL_S)
        yield
    finally:
        # The lock goes with the descriptor.
        os.close(descriptor)


def _open(root: Path) -> tuple[int, Callable[[int], None]]:
    """Return an open descriptor, and the function that locks it or fails at once."""
    try:
        import fcntl
    except ImportError:
        import hashlib
        import tempfile

        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
        file = Path(tempfile.gettempdir(), f"falconws-{name}.lock")
        msvcrt = importlib.import_module("msvcrt")
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o600), lambda number: msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    folder = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    return folder, lambda number: fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(descriptor: int, lock: Callable[[int], None]) -> bool:
    """Lock the descriptor; return False while another process has the lock."""
    try:
        lock(descriptor)
    except OSError as error:
        # Any other error: a file system without locks.
        return error.errno not in _BUSY
    return True
