"""What a generating command will do, as data. Pure: no file is read or written here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from falconws_cli.source.registration import JsonValue

if TYPE_CHECKING:
    from falconws_cli.source.register.result import RegisterResult, UnregisterResult
    from falconws_cli.source.registration import RegistrationSpec


@dataclass(frozen=True)
class Recipe:
    """What is recorded of a generating command: enough to render the same files again."""

    generator: str
    """"project", "resource", "middleware", "media-handler", or the name of an entry point."""
    name: str
    """The name of the generated thing, in the spelling "chat-room"."""
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    package: str = ""
    """The package that the generator came with, filled in by falconws; empty for its own generators."""

    def names(self, option: str) -> tuple[str, ...]:
        """Return the texts of an option that is a list of them; none if it is missing.

        Raises:
            TypeError: It is something else.
        """
        value = self.options.get(option, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TypeError(f"{option} is not a list of strings")
        return tuple(map(str, value))

    def is_same_thing(self, other: "Recipe") -> bool:
        """Return whether both recipes generate the same thing, perhaps with other options."""
        return (self.generator, self.name) == (other.generator, other.name)


@dataclass(frozen=True)
class PlannedFile:
    """A file to be written. *before* is the text that the plan is based on, None for a new file."""

    path: PurePosixPath
    data: bytes
    mode: int = 0o644
    before: bytes | None = None
    delete: bool = False
    """Delete the file, if its content is *before*; *data* is empty."""
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
    """Modules without types, which mypy must accept."""
    unformatted_files: tuple[str, ...] = ()
    """Patterns of files that ruff must not format."""
    modules: tuple[str, ...] = ()
    """Modules of the dependencies: code that imports one of them needs the dependencies too."""

    def __bool__(self) -> bool:
        return bool(self.dependencies or self.dev_dependencies or self.untyped_modules or self.unformatted_files)


NOTHING = Requirements()


@dataclass(frozen=True)
class Generated:
    """What a generator makes of a recipe: complete new files, and edits of the project's own files."""

    files: tuple[PlannedFile, ...]
    registrations: "tuple[RegistrationSpec, ...]" = ()
    requirements: Requirements = NOTHING
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedRegistration:
    """A registration or its removal, the file it is in, and how to repeat or revert it."""

    path: PurePosixPath
    registration: "RegisterResult | UnregisterResult"
    spec: "RegistrationSpec | None" = None


@dataclass(frozen=True)
class Plan:
    """The files and registrations of one command, and the notes to print afterwards."""

    files: tuple[PlannedFile, ...]
    registrations: tuple[PlannedRegistration, ...] = ()
    notes: tuple[str, ...] = ()
    left_to_do: tuple[str, ...] = ()
    """What the user has to do before all of it works."""
    recipe: Recipe | None = None
    """What to record; None for a command that generates nothing."""
    generated: frozenset[PurePosixPath] = frozenset()
    """Those of *files* that the recipe renders; the others are edits and empty `__init__.py` files."""
    requirements: Requirements = NOTHING
    """What the files need in pyproject.toml."""
    added: Requirements = NOTHING
    """The requirements that were missing."""
    command: str = ""
    """The command line to record; empty for the one that was typed."""


def stacked(plans: Iterable[Plan]) -> tuple[PlannedFile, ...]:
    """Return the files of successive plans. Of two files with one path, return the text of the later plan."""
    files: dict[PurePosixPath, PlannedFile] = {}
    for file in (file for plan in plans for file in plan.files):
        first = files.get(file.path, file)
        files[file.path] = replace(file, before=first.before)
    return tuple(files[path] for path in sorted(files))


def merge(*parts: Iterable[PlannedFile]) -> tuple[PlannedFile, ...]:
    """Return all files of *parts* in the order of their paths, which must be unique."""
    files = sorted((file for part in parts for file in part), key=lambda file: file.path)
    if len({file.path for file in files}) != len(files):
        raise ValueError("two planned files have one path")
    return tuple(files)


def union(parts: Iterable[Requirements]) -> Requirements:
    """Return the union of all *parts*."""
    return _combined(list(parts), lambda _, lists: dict.fromkeys(value for values in lists for value in values))


def common(one: Requirements, other: Requirements) -> Requirements:
    """Return the requirements that both have."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value in lists[1]])


def without(one: Requirements, other: Requirements) -> Requirements:
    """Return the requirements that *one* has and *other* has not."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value not in lists[1]])


def pyproject_lists(requirements: Requirements) -> dict[str, tuple[str, ...]]:
    """Return the arguments of `edit_pyproject`: everything except the modules, which are not in the file."""
    return {name: values for name, values in vars(requirements).items() if name != "modules"}


def _combined(
    parts: Sequence[Requirements], choose: Callable[[str, Sequence[tuple[str, ...]]], Iterable[str]]
) -> Requirements:
    names = [known.name for known in fields(Requirements)]
    return Requirements(**{name: tuple(choose(name, [getattr(part, name) for part in parts])) for name in names})
