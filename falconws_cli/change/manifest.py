"""What a project remembers of the commands that made it: `.falconws/manifest.json`, as data. Pure.

A text is remembered by its SHA-256; record.py keeps the texts themselves. The order of operations is the order in
which they happened, and everything inside of one is sorted, so that two branches merge with little to do by hand.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from falconws_cli.change.plan import NOTHING, Recipe, Requirements
from falconws_cli.errors import CommandError
from falconws_cli.source.registration import JsonValue

if TYPE_CHECKING:
    from falconws_cli.source.registration import RegistrationSpec

FORMAT = 1
_ABOUT = "What falconws generated here, for `falconws status`, `undo`, `destroy` and `upgrade`. Commit this folder."


@dataclass(frozen=True)
class RecordedEdit:
    """A file that was there before the operation, by its text before and after."""

    before: str
    after: str


@dataclass(frozen=True)
class RecordedRegistration:
    """A registration, and what came of it: an `RegisterOutcome`'s value."""

    kind: str
    path: str
    package: str
    arguments: Mapping[str, JsonValue]
    outcome: str
    imports: tuple[str, ...] = ()
    """The imports that were added for it, as "module:name"."""

    @property
    def spec(self) -> "RegistrationSpec":
        """What takes the registration back, or makes it again."""
        from falconws_cli.source.registration import RegistrationSpec

        return RegistrationSpec(self.kind, PurePosixPath(self.path), self.package, self.arguments)


@dataclass(frozen=True)
class Operation:
    """One generating command."""

    command: str
    """As it would be typed again."""
    version: str
    """The falconws whose templates made the files."""
    recipe: Recipe
    files: Mapping[str, str] = field(default_factory=dict)
    """The generated files, each with the text that the templates made: what the user changed since is not in it."""
    packages: tuple[str, ...] = ()
    """Empty `__init__.py`s that were missing."""
    edits: Mapping[str, RecordedEdit] = field(default_factory=dict)
    """All files that were there before, generated or not: registrations, dependencies, overwritten files."""
    registrations: tuple[RecordedRegistration, ...] = ()
    requirements: Requirements = NOTHING
    """What the files need in pyproject.toml."""
    added: Requirements = NOTHING
    """What of it was not there before."""
    partly_removed: bool = False
    """Only files that were edited since are left of it."""

    def texts(self) -> Iterator[str]:
        """Yield each text that the operation remembers; what an edit ended with is known by its hash only."""
        yield from self.files.values()
        yield from (edit.before for edit in self.edits.values())


@dataclass(frozen=True)
class Destroyed:
    """The last `falconws destroy`, for as long as nothing else has happened."""

    command: str
    files: Mapping[str, str]
    """The files that went away, each with its text."""
    edits: Mapping[str, RecordedEdit]
    manifest: str
    """The text of the manifest before."""


@dataclass(frozen=True)
class Manifest:
    """All operations, oldest first."""

    operations: tuple[Operation, ...] = ()
    destroyed: Destroyed | None = None
    left: Mapping[str, str] = field(default_factory=dict)
    """Files that falconws left as no operation says, when it took something out of the middle; by their texts."""

    def adding(self, operation: Operation) -> "Manifest":
        left = {path: key for path, key in self.left.items() if path not in operation.edits}
        return Manifest((*self.operations, operation), left=left)

    def replacing(self, changed: Mapping[int, Operation | None]) -> "Manifest":
        """Return the manifest with other operations in these positions, or none."""
        kept = [changed.get(position, old) for position, old in enumerate(self.operations)]
        return Manifest(tuple(operation for operation in kept if operation is not None), left=self.left)

    def leaving(self, earlier: "Manifest", changed: Iterable[tuple[str, str, str]]) -> "Manifest":
        """Return the manifest, which follows *earlier*, knowing that it was falconws who changed these files.

        Args:
            earlier: What was remembered before.
            changed: Path, text before and text after of each file; one that a user had edited stays edited.
        """
        left = dict(earlier.left)
        for path, before, after in changed:
            known = before in earlier.left_behind(path)
            left.pop(path, None)
            if known:
                left[path] = after
        bare = replace(self, left={})
        # A text that an operation knows needs no second mention.
        return replace(bare, left={path: key for path, key in left.items() if key not in bare.left_behind(path)})

    def left_behind(self, path: str) -> Iterator[str]:
        """Yield each text that falconws ever left at *path*, and that nobody has taken back."""
        for operation in self.operations:
            if path in operation.files:
                yield operation.files[path]
            if path in operation.edits:
                yield operation.edits[path].after
        if path in self.left:
            yield self.left[path]

    def pristine(self, path: PurePosixPath) -> str | None:
        """Return the text that a template last made for *path*, or None."""
        for operation in reversed(self.operations):
            if str(path) in operation.files:
                return operation.files[str(path)]
        return None

    def texts(self) -> Iterator[str]:
        """Yield each text that somebody may still ask for."""
        for operation in self.operations:
            yield from operation.texts()
        if self.destroyed is not None:
            yield self.destroyed.manifest
            yield from self.destroyed.files.values()
            yield from (edit.before for edit in self.destroyed.edits.values())

    def dump(self) -> bytes:
        """Return the file's content."""
        document: dict[str, Any] = {"about": _ABOUT, "format": FORMAT}
        document["operations"] = [_dump_operation(operation) for operation in self.operations]
        if self.left:
            document["left"] = dict(sorted(self.left.items()))
        if self.destroyed is not None:
            document["destroyed"] = {
                "command": self.destroyed.command,
                "files": dict(sorted(self.destroyed.files.items())),
                "edits": _dump_edits(self.destroyed.edits),
                "manifest": self.destroyed.manifest,
            }
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def load_manifest(data: bytes, where: str) -> Manifest:
    """Return what *data* says.

    Raises:
        CommandError: It is no manifest, or one of a falconws to come; *where* names it.
    """
    try:
        document = json.loads(data)
        version = document["format"]
    except (ValueError, TypeError, KeyError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise CommandError(
            f"{where} is damaged{line}: restore it from your repository; after a merge, keep the operations of both "
            "sides."
        ) from None
    if version != FORMAT:
        raise CommandError(f"{where} was written by a newer falconws; upgrade the installed one.")
    try:
        destroyed = document.get("destroyed")
        return Manifest(
            tuple(_load_operation(entry) for entry in document["operations"]),
            None
            if destroyed is None
            else Destroyed(
                destroyed["command"], destroyed["files"], _load_edits(destroyed["edits"]), destroyed["manifest"]
            ),
            dict(document.get("left", {})),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{where} is damaged: {error!r}; restore it from your repository.") from None


def without_destroyed(manifest: Manifest) -> Manifest:
    return replace(manifest, destroyed=None)


def _dump_operation(operation: Operation) -> dict[str, Any]:
    recipe = operation.recipe
    optional: dict[str, Any] = {
        "packages": sorted(operation.packages),
        "edits": _dump_edits(operation.edits),
        "registrations": [
            {
                "kind": made.kind,
                "path": made.path,
                "package": made.package,
                "arguments": dict(made.arguments),
                "outcome": made.outcome,
                "imports": list(made.imports),
            }
            for made in operation.registrations
        ],
        "requirements": _dump_requirements(operation.requirements),
        "added": _dump_requirements(operation.added),
        "partly_removed": operation.partly_removed,
    }
    return {
        "command": operation.command,
        "version": operation.version,
        "recipe": {
            "generator": recipe.generator,
            "name": recipe.name,
            "options": dict(sorted(recipe.options.items())),
            **({"package": recipe.package} if recipe.package else {}),
        },
        "files": dict(sorted(operation.files.items())),
        **{key: value for key, value in optional.items() if value},
    }


def _load_operation(entry: dict[str, Any]) -> Operation:
    recipe = entry["recipe"]
    return Operation(
        command=entry["command"],
        version=entry["version"],
        recipe=Recipe(recipe["generator"], recipe["name"], recipe["options"], recipe.get("package", "")),
        files=dict(entry["files"].items()),
        packages=tuple(entry.get("packages", ())),
        edits=_load_edits(entry.get("edits", {})),
        registrations=tuple(
            RecordedRegistration(**{**made, "imports": tuple(made["imports"])})
            for made in entry.get("registrations", ())
        ),
        requirements=_load_requirements(entry.get("requirements", {})),
        added=_load_requirements(entry.get("added", {})),
        partly_removed=entry.get("partly_removed", False),
    )


def _dump_edits(edits: Mapping[str, RecordedEdit]) -> dict[str, Any]:
    return {path: {"before": edit.before, "after": edit.after} for path, edit in sorted(edits.items())}


def _load_edits(entries: Mapping[str, Any]) -> dict[str, RecordedEdit]:
    return {path: RecordedEdit(entry["before"], entry["after"]) for path, entry in entries.items()}


def _dump_requirements(requirements: Requirements) -> dict[str, list[str]]:
    return {name: list(values) for name, values in vars(requirements).items() if values}


def _load_requirements(entry: Mapping[str, Any]) -> Requirements:
    return Requirements(**{name: tuple(values) for name, values in entry.items()})
