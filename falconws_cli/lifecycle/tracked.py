"""One file of a project that is taken back or brought back: what it is now, what becomes of it. Reads, never writes."""

from pathlib import Path, PurePosixPath

from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.preview import Change
from falconws_cli.change.writer import Status
from falconws_cli.errors import CommandError


def read(root: Path, path: str) -> bytes | None:
    """Return the file's content, or None when it is not there.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        return (root / path).read_bytes()
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


def kept(path: str, current: bytes, note: str) -> Change:
    """Return the decision to leave the file alone, for a reason that the user is told."""
    return Change(PlannedFile(PurePosixPath(path), current), Status.SKIP, current, note, left_to_do=True)
