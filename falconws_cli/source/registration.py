"""A registration as data, so that it can be recorded and removed later, without the generator that made it. Pure.

Knows which function of the register package does the work. Must not know how that edits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from falconws_cli.source import register
from falconws_cli.source.python import Import

if TYPE_CHECKING:
    from falconws_cli.source.register import RegisterResult, UnregisterResult

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


@dataclass(frozen=True)
class RegistrationSpec:
    """A statement in one of the project's own files that makes generated code part of the app."""

    kind: str
    """What is registered: one of the keys of _FUNCTIONS."""
    path: PurePosixPath
    """The file that the statement goes into."""
    package: str
    """The package of the file."""
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """The other arguments of the register function; imports are written "module:name"."""

    def register(self, text: str) -> RegisterResult:
        """Register in *text*, and return the result."""
        function = getattr(register, _FUNCTIONS[self.kind][0])
        registration: RegisterResult = function(text, self.package, **self._arguments())
        return registration

    def unregister(self, text: str, added: Collection[Import] | None = None) -> UnregisterResult:
        """Remove the registration from *text*; *added* are the imports that registering added, None if unknown."""
        function = getattr(register, _FUNCTIONS[self.kind][1])
        removal: UnregisterResult = function(text, self.package, **self._arguments(), added=added)
        return removal

    def _arguments(self) -> dict[str, object]:
        return {name: _value(name, value) for name, value in self.arguments.items()}


def route(path: PurePosixPath, package: str, *, template: str, resource: Import) -> RegistrationSpec:
    """Return the registration of a resource on a route."""
    return RegistrationSpec("route", path, package, {"template": template, "resource": import_text(resource)})


def middleware(
    path: PurePosixPath, package: str, *, middleware: Import, factory: str = "", argument: str = ""
) -> RegistrationSpec:
    """Return the registration of a middleware; *factory* is the class method that makes it, if any, of *argument*."""
    arguments: dict[str, JsonValue] = {"middleware": import_text(middleware)}
    optional = {"factory": factory, "argument": argument}
    return RegistrationSpec("middleware", path, package, arguments | {n: v for n, v in optional.items() if v})


def media_handler(path: PurePosixPath, package: str, *, payload: str, handler: Import) -> RegistrationSpec:
    """Return the registration of a media handler for *payload*, which is TEXT or BINARY."""
    return RegistrationSpec("media-handler", path, package, {"payload": payload, "handler": import_text(handler)})


def hub(path: PurePosixPath, package: str) -> RegistrationSpec:
    """Return the registration of a hub; it is already registered when the app has any hub."""
    return RegistrationSpec("hub", path, package, {"middleware": import_text(Import("falconws", "Hub"))})


def functions(
    path: PurePosixPath,
    package: str,
    *,
    first_party: str,
    what: str,
    imports: tuple[Import, ...],
    code: str,
    needs: tuple[str, ...] = (),
) -> RegistrationSpec:
    """Return the registration of functions at the end of a module; see `register.append_functions`."""
    arguments: dict[str, JsonValue] = {
        "first_party": first_party,
        "what": what,
        "imports": [import_text(wanted) for wanted in imports],
        "code": code,
        "needs": list(needs),
    }
    return RegistrationSpec("functions", path, package, arguments)


def lines(path: PurePosixPath, *, what: str, old: str, new: str) -> RegistrationSpec:
    """Return the registration of the lines that lead from *old* to *new*, in a file of any kind."""
    from falconws_cli.source.register.hunks import hunks_between

    hunks: list[JsonValue] = []
    for hunk in hunks_between(old, new):
        entry: dict[str, JsonValue] = {name: [*found] for name, found in hunk.items()}
        hunks.append(entry)
    return RegistrationSpec("lines", path, "", {"what": what, "hunks": hunks})


def setting(
    path: PurePosixPath, package: str, *, name: str, field: str, reader: str, imports: tuple[Import, ...]
) -> RegistrationSpec:
    """Return the registration of a field of Settings; see `register.register_setting`."""
    texts: list[JsonValue] = [import_text(wanted) for wanted in imports]
    arguments: dict[str, JsonValue] = {"name": name, "field": field, "reader": reader, "imports": texts}
    return RegistrationSpec("setting", path, package, arguments)


def variable(path: PurePosixPath, package: str, *, name: str, value: str) -> RegistrationSpec:
    """Return the registration of an environment variable of the tests."""
    return RegistrationSpec("variable", path, package, {"name": name, "value": value})


def row(path: PurePosixPath, package: str, *, name: str, row: str) -> RegistrationSpec:
    """Return the registration of a row in the table of variables of a Markdown file."""
    return RegistrationSpec("row", path, package, {"name": name, "row": row})


_FUNCTIONS = {
    "route": ("register_route", "unregister_route"),
    "middleware": ("register_middleware", "unregister_middleware"),
    "media-handler": ("register_media_handler", "unregister_media_handler"),
    "hub": ("register_middleware", "unregister_middleware"),
    "functions": ("append_functions", "remove_functions"),
    "lines": ("apply_hunks", "revert_hunks"),
    "setting": ("register_setting", "unregister_setting"),
    "variable": ("register_variable", "unregister_variable"),
    "row": ("register_row", "unregister_row"),
}
_IMPORTS = ("resource", "middleware", "handler", "imports")


def import_text(wanted: Import) -> str:
    """Return "module:name"."""
    return f"{wanted.module}:{wanted.name}"


def _value(name: str, value: JsonValue) -> object:
    if name not in _IMPORTS:
        return value
    if isinstance(value, list):
        return [_value(name, item) for item in value]
    return import_from(str(value))


def import_from(text: str) -> Import:
    """Return the import that "module:name" stands for."""
    module, _, member = text.partition(":")
    return Import(module, member)
