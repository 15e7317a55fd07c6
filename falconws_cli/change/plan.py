"""What a generating command is about to do, worked out in record. Pure: no file is read or written here.

rendering.py and the generators make what is planned; writer.py compares it with the disk.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from falconws_cli.source.registration import JsonValue

if TYPE_CHECKING:
    from falconws_cli.source.register import RegisterResult, UnregisterResult
    from falconws_cli.source.registration import RegistrationSpec


@dataclass(frozen=True)
class Recipe:
    """What a project remembers of a generating command: enough to render the same files again."""

    generator: str
    """"project", "resource", "middleware", "media-handler", or the name of an entry point."""
    name: str
    """What was made, in the spelling "chat-room"."""
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    package: str = ""
    """The package that the generator came with, which falconws fills in; empty for its own."""

    def is_same_thing(self, other: "Recipe") -> bool:
        """Return whether both are recipes of one thing, with whatever options."""
        return (self.generator, self.name) == (other.generator, other.name)


@dataclass(frozen=True)
class PlannedFile:
    """One file as it shall be. *before* is the text it was planned from, None for a new file."""

    path: PurePosixPath
    data: bytes
    mode: int = 0o644
    before: bytes | None = None
    delete: bool = False
    """The file goes away; *data* is empty then, and *before* what it must contain to go."""
    keep_existing: bool = False
    """Whether a file that is there already stays, unless an option decides otherwise."""


@dataclass(frozen=True)
class Requirements:
    """What generated code needs in pyproject.toml."""

    dependencies: tuple[str, ...] = ()
    """Requirements of [project], such as "orjson>=3.10"."""
    dev_dependencies: tuple[str, ...] = ()
    """Requirements of the extra "dev"."""
    untyped_modules: tuple[str, ...] = ()
    """Modules without types, which mypy is to accept."""
    unformatted_files: tuple[str, ...] = ()
    """Patterns of files that ruff leaves alone."""
    modules: tuple[str, ...] = ()
    """Modules that the dependencies bring: whoever imports one needs them too."""

    def __bool__(self) -> bool:
        return bool(self.dependencies or self.dev_dependencies or self.untyped_modules or self.unformatted_files)


NOTHING = Requirements()


@dataclass(frozen=True)
class Generated:
    """What a generator makes of a recipe: whole files, and what has to be done to the project's own files."""

    files: tuple[PlannedFile, ...]
    registrations: "tuple[RegistrationSpec, ...]" = ()
    requirements: Requirements = NOTHING
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedRegistration:
    """A registration, or one that is taken back, the file it is for, and how to make or unmake it again."""

    path: PurePosixPath
    registration: "RegisterResult | UnregisterResult"
    spec: "RegistrationSpec | None" = None


@dataclass(frozen=True)
class Plan:
    """The files of one command, what they register, and what the user should be told afterwards."""

    files: tuple[PlannedFile, ...]
    registrations: tuple[PlannedRegistration, ...] = ()
    notes: tuple[str, ...] = ()
    recipe: Recipe | None = None
    """What the project shall remember; None for a command that makes nothing."""
    generated: frozenset[PurePosixPath] = frozenset()
    """Those of *files* that the recipe renders; the others are edits, and empty `__init__.py`s."""
    requirements: Requirements = NOTHING
    """What the files need in pyproject.toml."""
    added: Requirements = NOTHING
    """What of it was not there yet."""
    command: str = ""
    """The command line that makes it; empty for the one that was typed."""


def stacked(plans: Iterable[Plan]) -> tuple[PlannedFile, ...]:
    """Return the files of plans that follow each other: where two have one path, the later text, on the first one's."""
    files: dict[PurePosixPath, PlannedFile] = {}
    for file in (file for plan in plans for file in plan.files):
        first = files.get(file.path, file)
        files[file.path] = replace(file, before=first.before)
    return tuple(files[path] for path in sorted(files))


def merge(*parts: Iterable[PlannedFile]) -> tuple[PlannedFile, ...]:
    """Return all files of *parts*, by path; no two may be the same."""
    files = sorted((file for part in parts for file in part), key=lambda file: file.path)
    if len({file.path for file in files}) != len(files):
        raise ValueError("two planned files have one path")
    return tuple(files)


def union(parts: Iterable[Requirements]) -> Requirements:
    """Return what any of *parts* has, each once."""
    return _combined(list(parts), lambda _, lists: dict.fromkeys(value for values in lists for value in values))


def common(one: Requirements, other: Requirements) -> Requirements:
    """Return what both have."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value in lists[1]])


def without(one: Requirements, other: Requirements) -> Requirements:
    """Return what only *one* has."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value not in lists[1]])


def pyproject_lists(requirements: Requirements) -> dict[str, tuple[str, ...]]:
    """Return the arguments that dependencies.py takes: everything but the modules, which are no part of the file."""
    return {name: values for name, values in vars(requirements).items() if name != "modules"}


def _combined(
    parts: Sequence[Requirements], choose: Callable[[str, Sequence[tuple[str, ...]]], Iterable[str]]
) -> Requirements:
    names = [known.name for known in fields(Requirements)]
    return Requirements(**{name: tuple(choose(name, [getattr(part, name) for part in parts])) for name in names})
