"""Merges three versions of one file with `git merge-file`. Bytes in, bytes out.

The result has the line ends of the user's version. If one side did not change, git is not needed. Knows no projects
and no templates.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# The exit code is the number of conflicts, at most this; higher codes are failures of git.
_MOST_CONFLICTS = 127
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CONFLICT = re.compile(rb"^<<<<<<< (?s:.*?)^=======\r?\n(?s:.*?)^>>>>>>> ", re.MULTILINE)
_LONE_CARRIAGE_RETURN = re.compile(rb"\r(?!\n)")


class CannotMergeError(Exception):
    """The three versions cannot be merged; the message says why."""


class GitMissingError(CannotMergeError):
    """git is not installed or does not work."""


class NotTextError(CannotMergeError):
    """One of the versions is not text."""


class Labels(NamedTuple):
    """The names of the three versions in conflict markers."""

    ours: str = "yours"
    base: str = "generated before"
    theirs: str = "generated now"


@dataclass(frozen=True)
class Merged:
    """The result of a merge."""

    data: bytes
    conflicts: int
    """The number of places with conflict markers; 127 means 127 or more."""


def three_way(base: bytes | None, ours: bytes, theirs: bytes, labels: Labels | None = None) -> Merged:
    """Return *ours* with the changes from *base* to *theirs*.

    Args:
        base: The common ancestor. With None, every difference is a conflict.
        ours: The user's text. If all of its lines have the same line end, so have those of the result.
        theirs: The other text.
        labels: The names of the versions in conflict markers.

    Raises:
        GitMissingError: Both sides changed, and git is not installed.
        NotTextError: Both sides changed, and one of them is binary.

    Source: git-merge-file(1), with `--diff3` markers where there is a base.
    """
    newline = _newline_of(ours)
    if newline is not None:
        base = None if base is None else _with_newlines(base, newline)
        theirs = _with_newlines(theirs, newline)
    if theirs in (ours, base):
        return Merged(ours, 0)
    if ours == base:
        return Merged(theirs, 0)
    if any(b"\0" in version for version in (base or b"", ours, theirs)):
        raise NotTextError("it is not a text file")
    return _merge_file(base, ours, theirs, labels or Labels())


def has_markers(data: bytes) -> bool:
    """Return whether *data* contains conflict markers, of falconws or of git."""
    return _CONFLICT.search(data) is not None


def _merge_file(base: bytes | None, ours: bytes, theirs: bytes, labels: Labels) -> Merged:
    versions = {"ours": ours, "base": base or b"", "theirs": theirs}
    arguments = ["git", "merge-file", "-p", "-q"]
    if base is not None:
        arguments.append("--diff3")
    for label in labels:
        arguments += ["-L", label]
    with tempfile.TemporaryDirectory(prefix="falconws-merge-") as folder:
        for name, version in versions.items():
            (Path(folder) / name).write_bytes(version)
        try:
            done = subprocess.run(
                [*arguments, *versions],
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise GitMissingError("git is not installed") from error
    marker = b"<" * 7 + b" " + os.fsencode(labels.ours)
    # macOS without developer tools has a `git` that only prints how to install them, and exits with 1.
    if not 0 <= done.returncode <= _MOST_CONFLICTS or (done.returncode and marker not in done.stdout):
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise GitMissingError(f"git does not work here: {said or f'it ended with {done.returncode}'}")
    return Merged(done.stdout, done.returncode)


def _environment(folder: str) -> dict[str, str]:
    """Return an environment in which git ignores all repositories and configuration files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # An installation of git that was moved finds its programs with this variable.
    if exec_path := os.environ.get("GIT_EXEC_PATH"):
        kept["GIT_EXEC_PATH"] = exec_path
    alone = {
        "GIT_CEILING_DIRECTORIES": str(Path(folder).parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    return kept | alone


def _newline_of(data: bytes) -> bytes | None:
    """Return the line end of all lines of *data*, or None if there is none, or more than one kind."""
    if b"\0" in data or _LONE_CARRIAGE_RETURN.search(data):
        return None
    crlf = data.count(b"\r\n")
    if crlf == 0:
        return b"\n" if b"\n" in data else None
    return None if _LONE_LINE_FEED.search(data) else b"\r\n"


def _with_newlines(data: bytes, newline: bytes) -> bytes:
    """Return *data* with this line end, if all of its lines have the same line end."""
    own = _newline_of(data)
    return data if own is None else data.replace(own, newline)
