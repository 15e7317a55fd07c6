"""What one generating command did, as data and as the JSON of one file. Knows nothing of where that file is.

Everything inside of an operation is sorted, and a text is a list of its lines, so that people can read the file.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from falconws_cli.change.paths import check_path
from falconws_cli.change.plan import NOTHING, Recipe, Requirements
from falconws_cli.errors import CommandError

if TYPE_CHECKING:
    from falconws_cli.source.registration import JsonValue, RegistrationSpec

ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", re.ASCII)
FORMAT = 1
NEEDS = "0.3.0"
"""The first falconws that reads `FORMAT`."""
MAX_TEXT_BYTES = 1_000_000
"""The largest text that is recorded."""
_ABOUT = "Written by falconws, for `falconws status`, `undo`, `upgrade` and the remove- commands. Commit this file."


_ARGUMENTS = {
    "route": {"template", "resource"},
    "middleware": {"middleware"},
    "media-handler": {"payload", "handler"},
    "hub": {"middleware"},
    "functions": {"first_party", "what", "imports", "code", "needs"},
    "lines": {"what", "hunks"},
    "setting": {"name", "field", "reader", "imports"},
    "variable": {"name", "value"},
    "row": {"name", "row"},
}
"""What each kind of registration needs."""
_OPTIONAL_ARGUMENTS = {"factory", "argument"}


class DamagedError(Exception):
    """The text is not that of an operation; the message says why."""


@dataclass(frozen=True)
class RecordedEdit:
    """An edit of a file that existed before the operation."""

    before: bytes | None
    """The text before; None if it was too large to be recorded."""
    after: str
    """The SHA-256 of the text after."""


@dataclass(frozen=True)
class RecordedRegistration:
    """A registration, and its outcome: the value of a `RegisterOutcome`."""

    kind: str
    path: str
    package: str
    arguments: Mapping[str, JsonValue]
    outcome: str
    imports: tuple[str, ...] = ()
    """The imports that were added for it, as "module:name"."""

    @property
    def spec(self) -> RegistrationSpec:
        """What removes the registration, or makes it again."""
        from falconws_cli.source.registration import RegistrationSpec

        return RegistrationSpec(self.kind, PurePosixPath(self.path), self.package, self.arguments)

    def is_same(self, other: RecordedRegistration) -> bool:
        """Return whether both register the same thing in the same file."""
        return (self.kind, self.path, self.arguments) == (other.kind, other.path, other.arguments)


@dataclass(frozen=True)
class Operation:
    """One command: a generating one, or a `falconws destroy` or `falconws moved`, which have no recipe."""

    id: str
    """The time and a random token, "20260131T120000.000000Z-1f2e3d4c": the order of operations."""
    command: str
    """The command line that repeats it."""
    version: str
    """The falconws whose templates made the files."""
    recipe: Recipe | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The generated files, each with the text that the templates made, without registrations and edits. Of a
    `destroy`, the files that it deleted."""
    packages: tuple[str, ...] = ()
    """Empty `__init__.py`s that were missing."""
    edits: Mapping[str, RecordedEdit] = field(default_factory=dict)
    """All files that were there before: with new registrations or dependencies, or overwritten."""
    registrations: tuple[RecordedRegistration, ...] = ()
    requirements: Requirements = NOTHING
    """What the files need in pyproject.toml."""
    added: Requirements = NOTHING
    """The part of *requirements* that pyproject.toml did not have before."""
    partly_removed: bool = False
    """Whether an earlier removal left only files that were edited since."""
    upgraded: str = ""
    """The falconws of the last `falconws upgrade` since. No time: two branches that both upgrade write the same."""
    destroyed: tuple[Operation, ...] = ()
    """The operations that a `destroy` removed."""
    moves: Mapping[str, str] = field(default_factory=dict)
    """For `falconws moved`: the old path of generated code, and its new one."""

    @property
    def time(self) -> str:
        return self.id.partition("-")[0]

    @property
    def is_generated(self) -> bool:
        """Whether it generated something."""
        return self.recipe is not None


def dump_operation(operation: Operation) -> bytes:
    """Return the content of the operation's file."""
    document = {"about": _ABOUT, "format": FORMAT, "needs": NEEDS, **_dump(operation)}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def load_operation(name: str, data: bytes) -> Operation:
    """Return the operation that *data* describes; *name* is its id.

    Raises:
        DamagedError: It is not the file of an operation.
        CommandError: A newer falconws wrote it; the message says which one is needed.
    """
    try:
        document = json.loads(data)
        number, needs = document["format"], document.get("needs")
    except json.JSONDecodeError as error:
        raise DamagedError(f"line {error.lineno} is not JSON") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DamagedError("it is not the JSON of an operation") from None
    if isinstance(number, int) and number > FORMAT:
        raise CommandError(
            f"This project needs falconws {needs} or newer, which wrote {name}.json in .falconws/operations/; "
            f"upgrade the installed falconws, for example with `pip install 'falconws>={needs}'`. Nothing was written."
        )
    try:
        return _load(name, document)
    except CommandError as error:
        raise DamagedError(error.message) from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"it is not complete ({error!r})") from None


def _dump(operation: Operation) -> dict[str, Any]:
    recipe = operation.recipe
    optional: dict[str, Any] = {
        "recipe": recipe
        and {
            "generator": recipe.generator,
            "name": recipe.name,
            "options": dict(sorted(recipe.options.items())),
            **({"package": recipe.package} if recipe.package else {}),
        },
        "files": {path: _dump_text(text) for path, text in sorted(operation.files.items())},
        "packages": sorted(operation.packages),
        "edits": {
            path: {"after": edit.after, **({} if edit.before is None else {"before": _dump_text(edit.before)})}
            for path, edit in sorted(operation.edits.items())
        },
        "registrations": [
            {**vars(made), "arguments": dict(made.arguments), "imports": list(made.imports)}
            for made in operation.registrations
        ],
        "requirements": _dump_requirements(operation.requirements),
        "added": _dump_requirements(operation.added),
        "partly_removed": operation.partly_removed,
        "upgraded": operation.upgraded,
        "moves": dict(sorted(operation.moves.items())),
        "destroyed": [{"id": other.id, **_dump(other)} for other in operation.destroyed],
    }
    return {
        "command": operation.command,
        "version": operation.version,
        **{key: value for key, value in optional.items() if value},
    }


def _load(name: str, entry: Mapping[str, Any]) -> Operation:
    if not ID.fullmatch(name):
        raise ValueError(f"{name!r} is not the id of an operation")
    recipe = _recipe(entry.get("recipe"))
    files = {_path(path): _load_text(text) for path, text in entry.get("files", {}).items()}
    edits = {
        _path(path): RecordedEdit(_load_text(edit["before"]) if "before" in edit else None, _string(edit["after"]))
        for path, edit in entry.get("edits", {}).items()
    }
    registrations = tuple(
        RecordedRegistration(
            _string(made["kind"]),
            _path(made["path"]),
            _string(made["package"]),
            _arguments(made),
            _string(made["outcome"]),
            _strings(made["imports"]),
        )
        for made in entry.get("registrations", ())
    )
    return Operation(
        id=name,
        command=_string(entry["command"]),
        version=_string(entry["version"]),
        recipe=recipe,
        files=files,
        packages=tuple(map(_path, _strings(entry.get("packages", [])))),
        edits=edits,
        registrations=registrations,
        requirements=_load_requirements(entry.get("requirements", {})),
        added=_load_requirements(entry.get("added", {})),
        partly_removed=bool(entry.get("partly_removed", False)),
        upgraded=_string(entry.get("upgraded", "")),
        moves={_path(old): _path(new) for old, new in entry.get("moves", {}).items()},
        destroyed=tuple(_load(_string(other["id"]), other) for other in entry.get("destroyed", ())),
    )


def _recipe(entry: Mapping[str, Any] | None) -> Recipe | None:
    if entry is None:
        return None
    options = dict(entry["options"].items())
    recipe = Recipe(_string(entry["generator"]), _string(entry["name"]), options, _string(entry.get("package", "")))
    # Every later command reads these.
    if recipe.generator == "project":
        recipe.names("with")
    elif recipe.generator == "part":
        recipe.names("parts")
        Recipe("project", recipe.name, dict(options.get("options", {}).items())).names("with")
    return recipe


def _arguments(made: Mapping[str, Any]) -> dict[str, JsonValue]:
    arguments: dict[str, JsonValue] = dict(made["arguments"].items())
    if arguments.keys() - _OPTIONAL_ARGUMENTS != _ARGUMENTS[made["kind"]]:
        raise ValueError(f"a {made['kind']} with the arguments {', '.join(sorted(arguments))}")
    for name, value in arguments.items():
        if name == "hunks":
            _hunks(value)
        else:
            _strings(value) if name in ("imports", "needs") else _string(value)
    return arguments


def _hunks(value: object) -> None:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    for hunk in value:
        for name in ("before", "old", "new", "after"):
            _strings(hunk[name])


def _dump_text(data: bytes) -> list[str] | dict[str, str]:
    try:
        return data.decode().split("\n")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _load_text(value: list[str] | dict[str, str]) -> bytes:
    data = base64.b64decode(value["base64"]) if isinstance(value, dict) else "\n".join(_strings(value)).encode()
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"a text is larger than {MAX_TEXT_BYTES} bytes")
    return data


def _path(value: object) -> str:
    path = _string(value)
    check_path(PurePosixPath(path))
    return path


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return tuple(map(_string, value))


def _dump_requirements(requirements: Requirements) -> dict[str, list[str]]:
    return {name: list(values) for name, values in vars(requirements).items() if values}


def _load_requirements(entry: Mapping[str, Any]) -> Requirements:
    return Requirements(**{name: _strings(values) for name, values in entry.items()})
