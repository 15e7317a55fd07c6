"""`.falconws/operations/` in a project: one file for each operation. Reads it, and plans changes of it; must not write.

No file is shared by two commands, so that git merges the records of two branches without a conflict. A change of the
record is a list of planned files, which writer.py writes in one transaction with the files that they are about.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath

from falconws_cli.change.operation import ID, DamagedError, Operation, dump_operation, load_operation
from falconws_cli.change.paths import resolve_inside
from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError, refused_by_system
from falconws_cli.package_folders import package_folders

FOLDER = PurePosixPath(".falconws")
OPERATIONS = FOLDER / "operations"
_ATTRIBUTES = FOLDER / ".gitattributes"
_ATTRIBUTES_TEXT = b"operations/*.json text eol=lf linguist-generated\n"
_MAX_FILE_BYTES = 20_000_000
_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Record:
    """What is recorded in the project at *root*."""

    root: Path
    operations: tuple[Operation, ...] = ()
    """In the order in which they happened."""
    damaged: tuple[str, ...] = ()
    """A sentence for each file that cannot be read; the others are usable."""
    sources: Mapping[str, bytes] = field(default_factory=dict)
    """The content of each operation's file, by its id."""

    @cached_property
    def folders(self) -> Mapping[str, PurePosixPath]:
        """Where the project has its packages, if not in the root or in src/."""
        import tomllib

        try:
            return package_folders(tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    @property
    def exists(self) -> bool:
        return bool(self.operations or self.damaged)

    @property
    def generated(self) -> tuple[Operation, ...]:
        """The operations that generated something."""
        return tuple(operation for operation in self.operations if operation.is_generated)

    def base(self, path: PurePosixPath) -> bytes | None:
        """Return the text that a template last made for *path*, or None."""
        found = [operation.files[str(path)] for operation in self.generated if str(path) in operation.files]
        return found[-1] if found else None

    def next_id(self, after: str = "") -> str:
        """Return an id for an operation that follows all recorded ones, and *after*."""
        last = max([after, *(operation.id for operation in self.operations)])
        time = now()
        if time <= last.partition("-")[0]:
            latest = datetime.strptime(last.partition("-")[0], _TIME).replace(tzinfo=UTC)
            time = (latest + timedelta(microseconds=1)).strftime(_TIME)
        return f"{time}-{os.urandom(4).hex()}"

    def changes(self, operations: Iterable[Operation]) -> list[PlannedFile]:
        """Return the planned files that record *operations*, and no others."""
        known = {operation.id: operation for operation in self.operations}
        wanted = {operation.id: operation for operation in operations}
        files = [
            PlannedFile(_file(name), dump_operation(operation), before=self.sources.get(name))
            for name, operation in sorted(wanted.items())
            if operation != known.get(name)
        ]
        files += [
            PlannedFile(_file(operation.id), b"", before=self.sources[operation.id], delete=True)
            for operation in self.operations
            if operation.id not in wanted
        ]
        if not files:
            return []
        before = _read(self.root, _ATTRIBUTES)
        if wanted or self.damaged:
            files.append(PlannedFile(_ATTRIBUTES, _ATTRIBUTES_TEXT, before=before))
        elif before is not None:
            files.append(PlannedFile(_ATTRIBUTES, b"", before=before, delete=True))
        return files


def read_record(root: Path) -> Record:
    """Return what is recorded in the project at *root*.

    Raises:
        CommandError: A newer falconws has written to it, or the folder cannot be read.
    """
    try:
        names = sorted(os.listdir(resolve_inside(root, OPERATIONS)))
    except (FileNotFoundError, NotADirectoryError):
        return Record(root)
    except OSError as error:
        raise refused_by_system(f"read {OPERATIONS}", error) from error
    operations, damaged, sources = [], [], {}
    for file in names:
        path = OPERATIONS / file
        if path.suffix != ".json":
            continue
        try:
            if not ID.fullmatch(path.stem):
                raise DamagedError("its name is not that of an operation")
            operation = load_operation(path.stem, data := _read_operation(root, path))
            operations.append(operation)
            sources[path.stem] = data
        except (DamagedError, OSError) as error:
            damaged.append(f"{path} is damaged: {error}. Restore it from your repository, or delete it.")
    return Record(root, tuple(operations), tuple(damaged), sources)


def now() -> str:
    """Return the time, as the first part of an operation's id."""
    return datetime.now(UTC).strftime(_TIME)


def seconds_between(one: Operation, other: Operation) -> float:
    """Return how long after *one* the operation *other* was recorded."""
    earlier, later = (datetime.strptime(operation.time, _TIME) for operation in (one, other))
    return (later - earlier).total_seconds()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_text(data: bytes, key: str) -> bool:
    """Return whether *data* is the text with this SHA-256, perhaps with the line ends of git on Windows."""
    return sha256(data) == key or (b"\r\n" in data and sha256(unix(data)) == key)


def unix(data: bytes) -> bytes:
    """Return *data* with line feeds for line ends."""
    return data.replace(b"\r\n", b"\n")


def with_newlines_of(current: bytes, text: bytes) -> bytes:
    """Return *text* with the line ends of *current*, if all of those are CRLF."""
    if b"\r\n" in current and b"\r\n" not in text and current.count(b"\n") == current.count(b"\r\n"):
        return text.replace(b"\n", b"\r\n")
    return text


def _read_operation(root: Path, path: PurePosixPath) -> bytes:
    try:
        return _read(root, path) or b""
    except CommandError as error:
        raise DamagedError(error.message.removesuffix(" Nothing was written.").rstrip(".")) from None


def _file(name: str) -> PurePosixPath:
    return OPERATIONS / f"{name}.json"


def _read(root: Path, path: PurePosixPath) -> bytes | None:
    place = resolve_inside(root, path)
    try:
        if place.stat().st_size > _MAX_FILE_BYTES:
            raise DamagedError(f"it is larger than {_MAX_FILE_BYTES} bytes")
        return place.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
