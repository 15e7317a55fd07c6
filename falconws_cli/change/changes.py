"""A plan held against the disk: what becomes of each path. Reads, and never writes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import click

from falconws_cli.change.paths import resolve_inside
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.writer import Status, compare, read_current
from falconws_cli.errors import CommandError


def show_diff(diff: str) -> None:
    """Print a unified diff, in the colors of git where there are any."""
    for line in diff.splitlines():
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        click.echo(click.style(line, bold=True) if line.startswith(("+++", "---")) else click.style(line, fg=color))


@dataclass(frozen=True)
class FileChange:
    """One path's fate. *file* is what would be written, or deleted."""

    file: PlannedFile
    status: Status
    current: bytes | None = None
    """What is on the disk now; None when there is nothing, or nothing that can be read."""
    note: str = ""
    """What a user should know besides, such as why a file is kept."""
    left_to_do: bool = False
    """Whether the note asks the user to do something."""
    markers: bool = False
    """Whether there are conflict markers in it."""

    @property
    def writes(self) -> bool:
        return self.status in (Status.CREATE, Status.UPDATE, Status.DELETE)

    def overwriting(self) -> "FileChange":
        """Return the conflict, settled for the planned file."""
        return replace(self, file=replace(self.file, before=self.current), status=Status.UPDATE, note="overwritten")

    def keeping(self, note: str = "kept as it is") -> "FileChange":
        """Return the conflict, settled for the file that is there."""
        return replace(self, status=Status.SKIP, note=note)

    def diff(self) -> str:
        """Return the change as a unified diff; nothing for what does not change."""
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
    """Return what writing *files* below *root* would mean for each of them."""
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
    # Only the line ends that diff and patch know; str.splitlines() splits at form feeds too.
    *whole, last = (data or b"").decode(errors="replace").split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def read(root: Path, path: str) -> bytes | None:
    """Return the file's content, or None when it is not there.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        return resolve_inside(root, PurePosixPath(path)).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from error


def decoded(data: bytes) -> str:
    """Return *data* as text; what is not UTF-8 comes through `encoded` as it was."""
    return data.decode(errors="surrogateescape")


def encoded(text: str) -> bytes:
    """Return the bytes that `decoded` has read."""
    return text.encode(errors="surrogateescape")


def planned(path: str, before: bytes | None, after: bytes | None) -> PlannedFile:
    """Return the step from *before* to *after*; None is no file."""
    if after is None:
        return PlannedFile(PurePosixPath(path), b"", before=before, delete=True)
    return PlannedFile(PurePosixPath(path), after, before=before)


def kept(path: str, current: bytes, note: str) -> FileChange:
    """Return the decision to leave the file alone, for a reason that the user is told."""
    return FileChange(PlannedFile(PurePosixPath(path), current), Status.SKIP, current, note, left_to_do=True)
