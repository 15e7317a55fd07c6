"""What a command left on the disk, and what it said."""

import os
import stat
from pathlib import Path

import click.testing


def tree(root: Path, without: str = "") -> dict[str, bytes]:
    """The content of each file below *root*, except in folders of the name *without*."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and without not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def without_record(root: Path) -> dict[str, bytes]:
    """The content of each file of a project, without its record of what was generated."""
    return {path: data for path, data in tree(root).items() if not path.startswith(".falconws/")}


def snapshot(root: Path) -> dict[str, tuple[str, bytes, int]]:
    """Everything below *root*, folders too, with content and mode."""
    found = {}
    for path in sorted(root.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(root))] = (kind, content, stat.S_IMODE(path.stat().st_mode))
    return found


def one_line_error(result: click.testing.Result) -> str:
    """The error, which must be one line on stderr and nothing on stdout."""
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr
