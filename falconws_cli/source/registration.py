"""A registration as data: made now, written down in the manifest, and taken back when its generator may be gone.

Knows which function of register.py is meant, and nothing of how that edits. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from falconws_cli.source.register import Registration, Removal

    pass

from collections.abc import Collection

from falconws_cli.source import register
from falconws_cli.source.python import Import
from falconws_cli.source.register import Registration, Removal

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


@dataclass(frozen=True)
class Wiring:
    """What makes a generated thing part of the app: a statement in one of the project's own files."""

    kind: str
    """"route", "middleware", "media-handler", "hub" or "functions": what is registered."""
    path: PurePosixPath
    """The file that it goes into."""
    package: str
    """The package that the file is in."""
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """The function's other arguments; imports as "module:name"."""

    def register(self, text: str) -> Registration:
        """Return what registering in *text* comes to."""
        function = getattr(register, _FUNCTIONS[self.kind][0])
        registration: Registration = function(text, self.package, **self._arguments())
        return registration

    def unregister(self, text: str, added: Collection[Import] | None = None) -> Removal:
        """Return what taking it back from *text* comes to; *added* are the imports that registering added, if known."""
        function = getattr(register, _FUNCTIONS[self.kind][1])
        removal: Removal = function(text, self.package, **self._arguments(), added=added)
        return removal

    def _arguments(self) -> dict[str, object]:
        return {name: _value(name, value) for name, value in self.arguments.items()}


def route(path: PurePosixPath, package: str, *, template: str, resource: Import) -> Wiring:
    """Return the wiring of a resource to a route."""
    return Wiring("route", path, package, {"template": template, "resource": import_text(resource)})


def middleware(path: PurePosixPath, package: str, *, middleware: Import, factory: str = "") -> Wiring:
    """Return the wiring of a middleware; *factory* is the class method that makes it, if not the class."""
    arguments: dict[str, JsonValue] = {"middleware": import_text(middleware)}
    return Wiring("middleware", path, package, arguments | ({"factory": factory} if factory else {}))


def media_handler(path: PurePosixPath, package: str, *, payload: str, handler: Import) -> Wiring:
    """Return the wiring of a handler for *payload*, which is TEXT or BINARY."""
    return Wiring("media-handler", path, package, {"payload": payload, "handler": import_text(handler)})


def hub(path: PurePosixPath, package: str) -> Wiring:
    """Return the wiring of a hub, which all that use it share; any hub that the app has will do."""
    return Wiring("hub", path, package, {"middleware": import_text(Import("falconws", "Hub"))})


def functions(
    path: PurePosixPath,
    package: str,
    *,
    first_party: str,
    what: str,
    imports: tuple[Import, ...],
    code: str,
    needs: tuple[str, ...] = (),
) -> Wiring:
    """Return the wiring of functions at a module's end; the arguments are those of `register.append_functions`."""
    arguments: dict[str, JsonValue] = {
        "first_party": first_party,
        "what": what,
        "imports": [import_text(wanted) for wanted in imports],
        "code": code,
        "needs": list(needs),
    }
    return Wiring("functions", path, package, arguments)


_FUNCTIONS = {
    "route": ("register_route", "unregister_route"),
    "middleware": ("register_middleware", "unregister_middleware"),
    "media-handler": ("register_media_handler", "unregister_media_handler"),
    "hub": ("register_middleware", "unregister_middleware"),
    "functions": ("append_functions", "remove_functions"),
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
    """Return what "module:name" says."""
    module, _, member = text.partition(":")
    return Import(module, member)
