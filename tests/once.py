"""What the processes of one test run make once and share: wheels, an environment, what mypy knows of libraries.

Knows nothing of what is made.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_VARIABLE = "FALCONWS_TEST_RUN"
"""The folder of the run, in the environment of its processes."""


def open_run() -> Path | None:
    """Create the folder of the run, unless a parent process has; return it to the process that has to remove it."""
    if _VARIABLE in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="falconws-test-run-"))
    os.environ[_VARIABLE] = str(folder)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        # Whoever sets it wants no litter, and tests start Python thousands of times.
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
    return folder


def close_run(folder: Path) -> None:
    """Remove the folder of the run."""
    os.environ.pop(_VARIABLE, None)
    shutil.rmtree(folder, ignore_errors=True)


def run_folder() -> Path:
    """Return the folder of the run, in which each process can have folders of its own."""
    return Path(os.environ[_VARIABLE])


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder *name*, which *make* has filled in this process or in another one: do not change it."""
    folder = run_folder() / name
    made = folder.with_name(f"{name}.made")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # It may be there from an attempt that has failed.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
