"""A registration as data, so that it can be recorded and removed later, without the generator that made it. Pure.

Knows which class of the register package does the work. Must not know how that edits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from falconws_cli.source import register
from falconws_cli.source.python import Import

if TYPE_CHECKING:
    from falconws_cli.source.register.kind import RegistrationKind
    from falconws_cli.source.register.result import RegisterResult, UnregisterResult

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


@dataclass(frozen=True)
class RegistrationSpec:
    """A statement in one of the project's own files that makes generated code part of the app."""

    kind: str
    """What is registered: one of the keys of _KINDS."""
    path: PurePosixPath
    """The file that the statement goes into."""
    package: str
    """The package of the file."""
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """The arguments of its class; imports are written "module:name"."""

    def register(self, text: str) -> RegisterResult:
        """Register in *text*, and return the result."""
        return self._kind().register(text, self.package)

    def unregister(self, text: str, added: Collection[Import] | None = None) -> UnregisterResult:
        """Remove the registration from *text*; *added* are the imports that registering added, None if unknown."""
        return self._kind().unregister(text, self.package, added)

    @property
    def what(self) -> str:
        """Its name in reports: "the route /chat"."""
        return self._kind().what

    def _kind(self) -> RegistrationKind:
        module, name = _KINDS[self.kind]
        arguments = {name: _value(name, value) for name, value in self.arguments.items()}
        kind: RegistrationKind = getattr(import_module(f"{register.__name__}.{module}"), name)(**arguments)
        return kind


def route(path: PurePosixPath, package: str, *, template: str, resource: Import) -> RegistrationSpec:
    """Return the registration of a resource on a route."""
    return _spec("route", path, package, template=template, resource=resource)


def middleware(
    path: PurePosixPath, package: str, *, middleware: Import, factory: str = "", argument: str = ""
) -> RegistrationSpec:
    """Return the registration of a middleware; *factory* is the class method that makes it, if any, of *argument*."""
    optional = {name: value for name, value in {"factory": factory, "argument": argument}.items() if value}
    return _spec("middleware", path, package, middleware=middleware, **optional)


def media_handler(path: PurePosixPath, package: str, *, payload: str, handler: Import) -> RegistrationSpec:
    """Return the registration of a media handler for *payload*, which is TEXT or BINARY."""
    return _spec("media-handler", path, package, payload=payload, handler=handler)


def hub(path: PurePosixPath, package: str) -> RegistrationSpec:
    """Return the registration of a hub; it is already registered when the app has any hub."""
    return _spec("hub", path, package, middleware=Import("falconws", "Hub"))


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
    """Return the registration of functions at the end of a module; see `register.functions`."""
    return _spec(
        "functions", path, package, first_party=first_party, what=what, imports=imports, code=code, needs=needs
    )


def lines(path: PurePosixPath, *, what: str, old: str, new: str) -> RegistrationSpec:
    """Return the registration of the lines that lead from *old* to *new*, in a file of any kind."""
    from falconws_cli.source.register.hunks import hunks_between

    return _spec("lines", path, "", what=what, hunks=hunks_between(old, new))


def setting(
    path: PurePosixPath, package: str, *, name: str, field: str, reader: str, imports: tuple[Import, ...]
) -> RegistrationSpec:
    """Return the registration of a field of Settings; see `register.settings`."""
    return _spec("setting", path, package, name=name, field=field, reader=reader, imports=imports)


def variable(path: PurePosixPath, package: str, *, name: str, value: str) -> RegistrationSpec:
    """Return the registration of an environment variable of the tests."""
    return _spec("variable", path, package, name=name, value=value)


def row(path: PurePosixPath, package: str, *, name: str, row: str) -> RegistrationSpec:
    """Return the registration of a row in the table of variables of a Markdown file."""
    return _spec("row", path, package, name=name, row=row)


_KINDS = {
    "route": ("routes", "RouteKind"),
    "middleware": ("middleware", "MiddlewareKind"),
    "media-handler": ("media_handlers", "MediaHandlerKind"),
    "hub": ("middleware", "MiddlewareKind"),
    "functions": ("functions", "FunctionsKind"),
    "lines": ("hunks", "LinesKind"),
    "setting": ("settings", "SettingKind"),
    "variable": ("settings", "VariableKind"),
    "row": ("settings", "RowKind"),
}
"""The module and the class of each kind. A command needs few of them: the modules are loaded on first use."""
_IMPORTS = ("resource", "middleware", "handler", "imports")


def _spec(kind: str, path: PurePosixPath, package: str, **arguments: object) -> RegistrationSpec:
    return RegistrationSpec(kind, path, package, {name: _json(value) for name, value in arguments.items()})


def _json(value: Any) -> JsonValue:
    if isinstance(value, Import):
        return import_text(value)
    return [_json(item) for item in value] if isinstance(value, tuple) else value


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
