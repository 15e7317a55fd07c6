"""One command at a time in a project, from the plan to the end of the transaction."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from falconws_cli.errors import CommandError

_POLL_S = 0.05
WAIT_S = 10.0


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Keep other falconws commands out of the project at *root* meanwhile; wait for one that is at work.

    The lock is on the folder itself, so that nothing is left behind. Where the system has no such locks, the writer
    still refuses to overwrite what has changed since it was read.

    Raises:
        CommandError: Another command has not ended within `WAIT_S`.
    """
    try:
        import fcntl

        folder = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        yield
        return
    try:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"Another falconws command is at work in {root}; wait until it ends. Nothing was written."
                    ) from None
                time.sleep(_POLL_S)
            except OSError:
                # A file system without locks.
                break
        yield
    finally:
        os.close(folder)
