"""Adds a statement and its imports, and removes both: what all kinds of registration share. Pure.

Must not know the kinds themselves.
"""

import ast
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from falconws_cli.source.imports import bindings, import_edit, import_removals, is_used, local_name, references
from falconws_cli.source.python import CannotEditError, Edit, Import, Source
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult

# Nobody registers the same object this often; this only bounds the loop.
_MOST_REGISTRATIONS = 20


@dataclass(frozen=True)
class InsertionPoint:
    """Where a statement goes: after or before a statement of a block; *app* is the name of the app there."""

    block: list[ast.stmt]
    statement: ast.stmt
    app: str
    before: bool = False


@dataclass(frozen=True)
class InsertedItem:
    """A new item of a literal, in place of a statement; *line* is where the top-level statement begins."""

    edits: list[Edit]
    line: int


class RegistrationKind:
    """One object to register, and how a module registers it."""

    what: str
    """Its name in reports: "the route /chat"."""
    wanted: Import
    extra: tuple[Import, ...] = ()
    """Imports that the statement may need besides the object itself."""

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        """Return the statement, for a module that calls the object *name*; *source* is None for no module."""
        raise NotImplementedError

    def needed(self, source: Source) -> tuple[Import, ...]:
        """Return the extra imports that the statement needs in this module."""
        return ()

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        """Return whether the module registers the object, which it calls by one of *names*.

        Raises:
            CannotEditError: It registers something else there.
        """
        raise NotImplementedError

    def insertion_point(self, source: Source, name: str) -> InsertionPoint | InsertedItem:
        """Return where the registration goes, when the module calls the object *name*.

        Raises:
            CannotEditError: It is not certain where the registration belongs.
        """
        raise NotImplementedError

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return the edits that remove one registration of the object, or None when there is none."""
        raise NotImplementedError

    def changed(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return the edits that remove the registration as the user has changed it; None when it is unclear."""
        return None


def register(text: str, package: str, kind: RegistrationKind) -> RegisterResult:
    """Register an object of *kind* in *text*."""
    wanted = kind.wanted
    lines: tuple[str, ...] = (wanted.line, kind.statement(None, "app", wanted.name, 0))
    try:
        source = Source(text, package)
        if kind.is_there(source, _names(source, wanted)):
            return RegisterResult(kind.what, RegisterOutcome.ALREADY, text, lines)
        imported = local_name(source, wanted)
        name = imported or wanted.name
        place = kind.insertion_point(source, name)
        if isinstance(place, InsertionPoint):
            lines = (wanted.line, kind.statement(source, place.app, name, 0))
            line = source.top_level_line(place.statement)
            code = kind.statement(source, place.app, name, place.block[0].col_offset)
            insert = source.before if place.before else source.after
            edits, extra = [insert(place.statement, place.block, code)], kind.needed(source)
        else:
            line, edits, extra = place.line, place.edits, ()
        missing = tuple(other for other in (wanted, *extra) if local_name(source, other) is None)
        added = [import_edit(source, other, before_line=line) for other in missing]
        edited = source.apply([*added, *edits])
        return RegisterResult(kind.what, RegisterOutcome.REGISTERED, edited, lines, imports=missing)
    except CannotEditError as error:
        return RegisterResult(kind.what, RegisterOutcome.CANNOT, text, lines, str(error))


def unregister(text: str, package: str, kind: RegistrationKind, added: Collection[Import] | None) -> UnregisterResult:
    """Remove a registration from *text*, and the imports that are unused without it.

    Args:
        text: The module's source.
        package: The package of the module.
        kind: The object that is registered.
        added: The imports that registering added; others stay. None stands for all that are unused.
    """
    using: tuple[str, ...] = ()
    try:
        source = Source(text, package)
        bound = bool(bindings(source, kind.wanted))
        names = _names(source, kind.wanted)
        using = lines_using(source, names) if bound else ()
        without = text
        for _ in range(_MOST_REGISTRATIONS):
            edits = kind.found(source, names)
            if edits is None and without == text:
                edits = kind.changed(source, names)
            if edits is None:
                break
            without = source.apply(edits)
            source = Source(without, package)
        left = lines_using(source, names) if bound else ()
        removable = [wanted for wanted in (kind.wanted, *kind.extra) if added is None or wanted in added]
        if without == text:
            # Without a statement to remove, the extra imports belong to somebody else.
            removable = [wanted for wanted in removable if wanted == kind.wanted]
        result = closest(
            without_imports(without, package, removable),
            text,
            lambda candidate: register(candidate, package, kind),
        )
    except CannotEditError as error:
        return UnregisterResult(kind.what, UnregisterOutcome.CANNOT, text, using, str(error))
    reason = f"{kind.wanted.name} is still used" if left else ""
    if result != text:
        return UnregisterResult(kind.what, UnregisterOutcome.REMOVED, result, left, reason)
    if left:
        return UnregisterResult(kind.what, UnregisterOutcome.CANNOT, text, left, reason)
    return UnregisterResult(kind.what, UnregisterOutcome.ABSENT, text)


def closest(candidates: Iterator[str], text: str, again: Callable[[str], RegisterResult]) -> str:
    """Return the candidate that registering turns into *text* again, or else the first.

    There is at most one: the text before the registration, unless the user has edited the lines around it since.
    """
    first: str | None = None
    for candidate in candidates:
        first = candidate if first is None else first
        registration = again(candidate)
        if registration.outcome is RegisterOutcome.REGISTERED and registration.text == text:
            return candidate
    assert first is not None
    return first


def without_imports(text: str, package: str, wanted: list[Import], first_party: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the ways to remove the unused imports among *wanted*, the tidiest first; at least *text* itself."""
    if not wanted:
        yield text
        return
    source = Source(text, package, first_party)
    unused = [binding for binding in bindings(source, wanted[0]) if not is_used(source, binding)]
    if not unused:
        yield from without_imports(text, package, wanted[1:], first_party)
        return
    for way in import_removals(source, unused[0]):
        yield from without_imports(source.apply(way), package, wanted, first_party)


def lines_using(source: Source, names: Collection[str]) -> tuple[str, ...]:
    """Return the lines of the module that use one of *names* as a value."""
    numbers = {node.lineno for node in references(source, names)}
    return tuple(source.lines[number - 1].strip() for number in sorted(numbers))


def _names(source: Source, wanted: Import) -> set[str]:
    return {binding.expression for binding in bindings(source, wanted)} | {wanted.name}
