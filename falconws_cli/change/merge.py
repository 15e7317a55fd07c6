"""Three versions of one file made into one, by `git merge-file`. Bytes in, bytes out.

The user's line ends win, and a side that did not change never needs git. Knows nothing of projects or templates.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Higher codes are git's own failures; this one means "so many conflicts, or more".
_MOST_CONFLICTS = 127
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CONFLICT = re.compile(rb"^<<<<<<< (?s:.*?)^=======\r?\n(?s:.*?)^>>>>>>> ", re.MULTILINE)
_LONE_CARRIAGE_RETURN = re.compile(rb"\r(?!\n)")


class CannotMergeError(Exception):
    """The three versions cannot be made into one text; the message says why."""


class GitMissingError(CannotMergeError):
    """There is no git that works."""


class NotTextError(CannotMergeError):
    """One of the versions is not text, so that both changes cannot be in one file."""


class Labels(NamedTuple):
    """What conflict markers call the three versions."""

    ours: str = "yours"
    base: str = "generated before"
    theirs: str = "generated now"


@dataclass(frozen=True)
class Merged:
    """The text with both changes in it."""

    data: bytes
    conflicts: int
    """How many places have conflict markers; 127 stands for 127 or more."""


def three_way(base: bytes | None, ours: bytes, theirs: bytes, labels: Labels | None = None) -> Merged:
    """Return *ours* with what changed from *base* to *theirs*.

    Args:
        base: What both descend from. None when there is no such text: then every difference is a conflict.
        ours: The user's text. Where all of its lines end alike, the result's lines end so too.
        theirs: The other text.
        labels: What the markers call the versions.

    Raises:
        GitMissingError: Both sides changed, and git is not there to merge them.
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
    """Tell whether a conflict of an earlier merge, of ours or of git's own, is still to be settled in *data*."""
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
    """Return an environment in which no repository and no configuration changes what git does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # git, where it was moved, finds its own programs by this one.
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
    """Return the line end of every line of *data*, or None when there is none, or several kinds."""
    if b"\0" in data or _LONE_CARRIAGE_RETURN.search(data):
        return None
    crlf = data.count(b"\r\n")
    if crlf == 0:
        return b"\n" if b"\n" in data else None
    return None if _LONE_LINE_FEED.search(data) else b"\r\n"


def _with_newlines(data: bytes, newline: bytes) -> bytes:
    """Return *data* with this line end, when its own lines all end alike."""
    own = _newline_of(data)
    return data if own is None else data.replace(own, newline)
