"""Media handlers: `app.ws_options.media_handlers[payload type] = handler`. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import formatting
from falconws_cli.source.brackets import literal_items
from falconws_cli.source.imports import local_name
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, index_of, last_name
from falconws_cli.source.register.apps import app_insertion_point
from falconws_cli.source.register.kind import InsertedItem, InsertionPoint, ObjectKind
from falconws_cli.source.register.middleware import adds_middleware

_PAYLOAD_TYPE = Import("falconws", "WebSocketPayloadType")


def media_handler_in(text: str, payload: str) -> str | None:
    """Return the source of the handler that *text* sets for *payload*, or None."""
    try:
        source = Source(text, "")
    except CannotEditError:
        return None
    return next((ast.unparse(value) for found, value, _ in _handlers(source) if found == payload), None)


class MediaHandlerKind(ObjectKind):
    """The app's handler for *payload*, which is TEXT or BINARY. Without it, the app has its default one again."""

    extra = (_PAYLOAD_TYPE,)

    def __init__(self, *, payload: str, handler: Import) -> None:
        self.payload = payload
        self.wanted = handler
        self.what = f"the {payload} media handler {handler.name}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        payload_type = f"falconws.{_PAYLOAD_TYPE.name}"
        if source is not None:
            payload_type = _payload_type(source) or _PAYLOAD_TYPE.name
        target = f"{app}.ws_options.media_handlers[{payload_type}.{self.payload}]"
        return formatting.assignment(target, f"{name}()", indent=indent)

    def needed(self, source: Source) -> tuple[Import, ...]:
        return () if _payload_type(source) else (_PAYLOAD_TYPE,)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        for payload, value, node in _handlers(source):
            if payload == self.payload:
                if any(dotted(part) in names for part in ast.walk(value)):
                    return True
                raise CannotEditError(f"line {node.lineno} sets another handler for {payload}")
        return False

    def insertion_point(self, source: Source, name: str) -> InsertionPoint | InsertedItem:
        return app_insertion_point(source, _sets_media_handler)

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        for block in source.blocks():
            for statement in block:
                for payload, value, node in _handlers_of(statement):
                    if payload != self.payload or not any(dotted(part) in names for part in ast.walk(value)):
                        continue
                    if isinstance(node, ast.Dict):
                        return literal_items(source, node).remove_edits(index_of(value, node.values))
                    return [source.remove_edit(statement, block)]
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
