"""Compares a plan with the disk: one change for each path. Reads files and never writes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import click

from falconws_cli.change.paths import resolve_inside
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.writer import Status, compare, read_current
from falconws_cli.errors import refused_by_system


def show_diff(diff: str) -> None:
    """Print a unified diff in the colors of git."""
    for line in diff.splitlines():
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        click.echo(click.style(line, bold=True) if line.startswith(("+++", "---")) else click.style(line, fg=color))


@dataclass(frozen=True)
class FileChange:
    """The change of one path. *file* is what would be written or deleted."""

    file: PlannedFile
    status: Status
    current: bytes | None = None
    """The content on the disk; None if there is no file, or if it cannot be read."""
    note: str = ""
    """More for the user to know, such as why a file is kept."""
    left_to_do: bool = False
    """Whether the user has to do something."""
    markers: bool = False
    """Whether the file contains conflict markers."""

    @property
    def writes(self) -> bool:
        return self.status in (Status.CREATE, Status.UPDATE, Status.DELETE)

    def overwriting(self) -> "FileChange":
        """Return the conflict, resolved in favor of the planned file."""
        return replace(self, file=replace(self.file, before=self.current), status=Status.UPDATE, note="overwritten")

    def keeping(self, note: str = "kept as it is") -> "FileChange":
        """Return the conflict, resolved in favor of the existing file."""
        return replace(self, status=Status.SKIP, note=note)

    def diff(self) -> str:
        """Return the change as a unified diff; empty if nothing changes."""
        import difflib

        if self.status in (Status.IDENTICAL, Status.SKIP):
            return ""
        path = self.file.path
        before, after = self.current, None if self.file.delete else self.file.data
        if b"\0" in (before or b"") or b"\0" in (after or b""):
            return f"Binary files a/{path} and b/{path} differ\n"
        lines = difflib.unified_diff(
            _lines(before),
            _lines(after),
            "/dev/null" if before is None else f"a/{path}",
            "/dev/null" if after is None else f"b/{path}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def preview(root: Path, files: Iterable[PlannedFile]) -> list[FileChange]:
    """Return the change that writing each of *files* below *root* would make."""
    changes = []
    for file in files:
        try:
            current = read_current(root, file)
        except OSError:
            changes.append(FileChange(file, Status.CONFLICT, note="it is a folder, or cannot be read"))
        else:
            changes.append(FileChange(file, compare(root, file), current))
    return changes


def counts(changes: Sequence[FileChange]) -> dict[str, int]:
    """Return how many paths have each status, in the order of `Status`."""
    found = Counter(change.status for change in changes)
    return {status.value: found[status] for status in Status}


def _lines(data: bytes | None) -> list[str]:
    # diff and patch know only line feeds; str.splitlines() splits at form feeds too.
    *whole, last = (data or b"").decode(errors="replace").split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def read(root: Path, path: str) -> bytes | None:
    """Return the file's content, or None if there is no file.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        return resolve_inside(root, PurePosixPath(path)).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refused_by_system(f"read {path}", error) from error


def decoded(data: bytes) -> str:
    """Return *data* as text. `encoded` restores bytes that are not UTF-8."""
    return data.decode(errors="surrogateescape")


def encoded(text: str) -> bytes:
    """Return the bytes of a text that `decoded` returned."""
    return text.encode(errors="surrogateescape")


def planned(path: str, before: bytes | None, after: bytes | None) -> PlannedFile:
    """Return the planned file that leads from *before* to *after*; None stands for no file."""
    if after is None:
        return PlannedFile(PurePosixPath(path), b"", before=before, delete=True)
    return PlannedFile(PurePosixPath(path), after, before=before)


def kept(path: str, current: bytes, note: str) -> FileChange:
    """Return the decision to keep the file, with a note for the user."""
    return FileChange(PlannedFile(PurePosixPath(path), current), Status.SKIP, current, note, left_to_do=True)
