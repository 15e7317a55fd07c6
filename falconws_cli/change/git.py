"""The git work tree that a project is in, if any: whether what is about to change can be had back. Reads only."""

import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError

_MOST_NAMED = 3


def require_clean(root: Path, paths: Iterable[PurePosixPath]) -> None:
    """Make sure that everything in the project is committed; outside of a repository, or without git, it need not be.

    Args:
        root: The project's folder.
        paths: What is about to be written: these must not be untracked.

    Raises:
        CommandError: Changes are not committed; the message names them.
    """
    written = {str(path) for path in paths}
    open_changes = [
        path
        for code, path in _status(root)
        if code != "??" or path in written or any(other.startswith(path) for other in written if path.endswith("/"))
    ]
    if not open_changes:
        return
    named = ", ".join(open_changes[:_MOST_NAMED])
    more = len(open_changes) - _MOST_NAMED
    raise CommandError(
        f"{named}{f' and {more} more' if more > 0 else ''}: changed and not committed, so that an upgrade could not be "
        "told from your own work; commit or stash first, or use --force. Nothing was written."
    )


def _status(root: Path) -> list[tuple[str, str]]:
    """Return git's two-letter code and the path from *root* of each change below it."""
    prefix = _git(root, "rev-parse", "--show-prefix")
    listing = _git(root, "status", "--porcelain=v1", "-z", "--no-renames", "--", ".")
    if prefix is None or listing is None:
        return []
    entries = [entry for entry in listing.split("\0") if entry]
    return [(entry[:2], entry[3:].removeprefix(prefix.rstrip("\n"))) for entry in entries]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
