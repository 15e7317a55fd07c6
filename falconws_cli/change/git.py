"""The git work tree that a project is in, if any: what is not committed, and who committed what. Reads only.

The repository is untrusted: no program that its configuration names is run.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError

_MAX_NAMED = 3
_SAFE = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false")


def require_clean(root: Path, paths: Iterable[PurePosixPath]) -> None:
    """Make sure that everything in the project is committed; outside of a repository, or without git, do nothing.

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
    named = ", ".join(open_changes[:_MAX_NAMED])
    more = len(open_changes) - _MAX_NAMED
    raise CommandError(
        f"{named}{f' and {more} more' if more > 0 else ''}: changed and not committed, so an upgrade could not be told "
        "apart from your own changes; commit or stash first, or use --force. Nothing was written."
    )


@dataclass(frozen=True)
class Authors:
    """Who committed the files of a folder."""

    emails: Mapping[str, str] = field(default_factory=dict)
    """The author's address of the commit that added a file, by the file's name; nothing for one that is new."""
    user: str | None = None
    """The user's own address, where git knows it."""

    def of(self, name: str) -> str | None:
        """Return who committed the file; None if nobody did."""
        return self.emails.get(name)

    def is_own(self, name: str) -> bool:
        """Return whether the file is not committed, or was committed by the user."""
        return name not in self.emails or self.emails[name] == self.user


def read_authors(root: Path, folder: str) -> Authors:
    """Return who committed the files in *folder* of the project; nobody outside of a repository."""
    log = _git(
        root,
        "log",
        "--no-show-signature",
        "--format=%x00%ae",
        "--name-only",
        "--diff-filter=A",
        "--no-renames",
        "--",
        folder,
    )
    if not log:
        return Authors()
    emails: dict[str, str] = {}
    for commit in log.split("\0")[1:]:
        email, *names = commit.split("\n")
        # Newest first: a file that was removed and added again belongs to the author who added it last.
        for name in filter(None, names):
            emails.setdefault(name.rpartition("/")[2], email)
    identity = _git(root, "var", "GIT_AUTHOR_IDENT") or ""
    user = identity.rpartition("<")[2].partition(">")[0] if "<" in identity else None
    return Authors(emails, user)


def _status(root: Path) -> list[tuple[str, str]]:
    """Return git's two-letter code and the path from *root* of each change below it."""
    prefix = _git(root, "rev-parse", "--show-prefix")
    status = ("status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=all", "--", ".")
    listing = _git(root, *_without_filters(root), *status)
    if prefix is None or listing is None:
        return []
    entries = [entry for entry in listing.split("\0") if entry]
    return [(entry[:2], entry[3:].removeprefix(prefix.rstrip("\n"))) for entry in entries]


def _without_filters(root: Path) -> Iterator[str]:
    """Yield the arguments with which git runs none of the filters that the repository's own configuration has."""
    names = _git(root, "config", "--local", "--includes", "--name-only", "-z", "--get-regexp", r"^filter\.")
    for name in filter(None, (names or "").split("\0")):
        yield from ("-c", f"{name}={'false' if name.endswith('.required') else ''}")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *_SAFE, *arguments],
            cwd=root,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
