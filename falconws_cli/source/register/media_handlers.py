"""Media handlers: `app.ws_options.media_handlers[payload type] = handler`. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import layout
from falconws_cli.source.brackets import items_of
from falconws_cli.source.imports import local_name
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, index_of, last_name
from falconws_cli.source.register.apps import app_place
from falconws_cli.source.register.middleware import adds_middleware
from falconws_cli.source.register.result import Registration, Removal
from falconws_cli.source.register.target import Item, Place, Target, register, unregister

_PAYLOAD_TYPE = Import("falconws", "WebSocketPayloadType")


def register_media_handler(text: str, package: str, *, payload: str, handler: Import) -> Registration:
    """Make *handler* the app's handler for *payload*, which is TEXT or BINARY."""
    return register(text, package, _HandlerTarget(payload, handler))


def unregister_media_handler(
    text: str, package: str, *, payload: str, handler: Import, added: Collection[Import] | None = None
) -> Removal:
    """Take the handler for *payload* away, so that the app has its default one again.

    Args:
        text: The module's source.
        package: The package that the module is in.
        payload: TEXT or BINARY.
        handler: The handler's class.
        added: The imports that the registration added; None for all that are unused then.
    """
    return unregister(text, package, _HandlerTarget(payload, handler), added)


def media_handler_in(text: str, payload: str) -> str | None:
    """Return the source of the handler that *text* sets for *payload*, or None."""
    try:
        source = Source(text, "")
    except CannotEditError:
        return None
    return next((ast.unparse(value) for found, value, _ in _handlers(source) if found == payload), None)


class _HandlerTarget(Target):
    extra = (_PAYLOAD_TYPE,)

    def __init__(self, payload: str, handler: Import) -> None:
        self.payload = payload
        self.wanted = handler
        self.what = f"the {payload} media handler {handler.name}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        payload_type = f"falconws.{_PAYLOAD_TYPE.name}"
        if source is not None:
            payload_type = _payload_type(source) or _PAYLOAD_TYPE.name
        target = f"{app}.ws_options.media_handlers[{payload_type}.{self.payload}]"
        return layout.assignment(target, f"{name}()", indent=indent)

    def needed(self, source: Source) -> tuple[Import, ...]:
        return () if _payload_type(source) else (_PAYLOAD_TYPE,)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        for payload, value, node in _handlers(source):
            if payload == self.payload:
                if any(dotted(part) in names for part in ast.walk(value)):
                    return True
                raise CannotEditError(f"line {node.lineno} sets another handler for {payload}")
        return False

    def place(self, source: Source, name: str) -> Place | Item:
        return app_place(source, _sets_media_handler)

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        for block in source.blocks():
            for statement in block:
                for payload, value, node in _handlers_of(statement):
                    if payload != self.payload or not any(dotted(part) in names for part in ast.walk(value)):
                        continue
                    if isinstance(node, ast.Dict):
                        return items_of(source, node).dropping(index_of(value, node.values))
                    return [source.removing(statement, block)]
        return None


def _payload_type(source: Source) -> str | None:
    """Return what the module can call the payload types already, or None."""
    for statement in source.tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name == _PAYLOAD_TYPE.module:
                    return f"{alias.asname or alias.name}.{_PAYLOAD_TYPE.name}"
    return local_name(source, _PAYLOAD_TYPE)


def _handlers(source: Source) -> Iterator[tuple[str | None, ast.expr, ast.expr]]:
    for block in source.blocks():
        for statement in block:
            yield from _handlers_of(statement)


def _handlers_of(statement: ast.stmt) -> Iterator[tuple[str | None, ast.expr, ast.expr]]:
    """Yield payload type, handler and place of what one statement sets."""
    if not isinstance(statement, ast.Assign):
        return
    for target in statement.targets:
        if isinstance(target, ast.Subscript) and last_name(target.value) == "media_handlers":
            yield last_name(target.slice), statement.value, target
        elif last_name(target) == "media_handlers" and isinstance(statement.value, ast.Dict):
            for key, value in zip(statement.value.keys, statement.value.values, strict=True):
                yield last_name(key), value, statement.value


def _sets_media_handler(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return last_name(node.value) == "media_handlers"
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr == "media_handlers"
    return adds_middleware(node)
