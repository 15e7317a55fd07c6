"""Registering by a statement and its imports, and taking both back: what all registrations share. Pure."""

import ast
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from falconws_cli.source.imports import bindings, importing, is_used, local_name, references, removals
from falconws_cli.source.python import CannotEditError, Edit, Import, Source
from falconws_cli.source.register.result import Outcome, Registration, Removal, RemovalOutcome

# Two of the same are one too many already; this only bounds the loop.
_MOST_REGISTRATIONS = 20


@dataclass(frozen=True)
class Place:
    """Where a statement goes: behind one of a block's statements, or before it, and the name of the app there."""

    block: list[ast.stmt]
    statement: ast.stmt
    app: str
    before: bool = False


@dataclass(frozen=True)
class Item:
    """An item of a literal that registers as a statement would; *line* is where the module's statement begins."""

    edits: list[Edit]
    line: int


class Target:
    """One thing to register, and what a module may say about it."""

    what: str
    """What it is called in reports: "the route /chat"."""
    wanted: Import
    extra: tuple[Import, ...] = ()
    """What a statement may need besides the thing itself."""

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        """Return the statement that registers, in a module that calls the thing *name*; None is any module."""
        raise NotImplementedError

    def needed(self, source: Source) -> tuple[Import, ...]:
        """Return those extra imports that the statement needs in this module."""
        return ()

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        """Tell whether the module registers the thing, which it calls by one of *names*.

        Raises:
            CannotEditError: It has something else in that place.
        """
        raise NotImplementedError

    def place(self, source: Source, name: str) -> Place | Item:
        """Return where the registration goes, when the module calls the thing *name*.

        Raises:
            CannotEditError: There is no place that is surely right.
        """
        raise NotImplementedError

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return what takes one registration of the thing away, or None when there is none."""
        raise NotImplementedError

    def changed(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return what takes away the registration that the user made of it, when that is clear, or None."""
        return None


def register(text: str, package: str, target: Target) -> Registration:
    """Return *text* with the target registered."""
    wanted = target.wanted
    lines: tuple[str, ...] = (wanted.line, target.statement(None, "app", wanted.name, 0))
    try:
        source = Source(text, package)
        if target.is_there(source, _names(source, wanted)):
            return Registration(target.what, Outcome.ALREADY, text, lines)
        imported = local_name(source, wanted)
        name = imported or wanted.name
        place = target.place(source, name)
        if isinstance(place, Place):
            lines = (wanted.line, target.statement(source, place.app, name, 0))
            line = source.top_level_line(place.statement)
            code = target.statement(source, place.app, name, place.block[0].col_offset)
            insert = source.before if place.before else source.after
            edits, extra = [insert(place.statement, place.block, code)], target.needed(source)
        else:
            line, edits, extra = place.line, place.edits, ()
        missing = tuple(other for other in (wanted, *extra) if local_name(source, other) is None)
        added = [importing(source, other, before_line=line) for other in missing]
        edited = source.apply([*added, *edits])
        return Registration(target.what, Outcome.REGISTERED, edited, lines, imports=missing)
    except CannotEditError as error:
        return Registration(target.what, Outcome.CANNOT, text, lines, str(error))


def unregister(text: str, package: str, target: Target, added: Collection[Import] | None) -> Removal:
    """Return *text* without the target's registration, and without the imports that nothing uses any more.

    Args:
        text: The module's source.
        package: The package that the module is in.
        target: What is registered in it.
        added: The imports that registering added; others stay. None takes every unused one away.
    """
    using: tuple[str, ...] = ()
    try:
        source = Source(text, package)
        bound = bool(bindings(source, target.wanted))
        names = _names(source, target.wanted)
        using = lines_using(source, names) if bound else ()
        without = text
        for _ in range(_MOST_REGISTRATIONS):
            edits = target.found(source, names)
            if edits is None and without == text:
                edits = target.changed(source, names)
            if edits is None:
                break
            without = source.apply(edits)
            source = Source(without, package)
        left = lines_using(source, names) if bound else ()
        removable = [wanted for wanted in (target.wanted, *target.extra) if added is None or wanted in added]
        if without == text:
            # An extra import is nobody's but the statement's.
            removable = [wanted for wanted in removable if wanted == target.wanted]
        result = closest(
            without_imports(without, package, removable),
            text,
            lambda candidate: register(candidate, package, target),
        )
    except CannotEditError as error:
        return Removal(target.what, RemovalOutcome.CANNOT, text, using, str(error))
    reason = f"{target.wanted.name} is still used" if left else ""
    if result != text:
        return Removal(target.what, RemovalOutcome.REMOVED, result, left, reason)
    if left:
        return Removal(target.what, RemovalOutcome.CANNOT, text, left, reason)
    return Removal(target.what, RemovalOutcome.ABSENT, text)


def closest(candidates: Iterator[str], text: str, again: Callable[[str], Registration]) -> str:
    """Return the candidate that registering makes *text* of again, or else the first.

    There is at most one: it is the text that there was, when the user has not touched the surroundings since.
    """
    first: str | None = None
    for candidate in candidates:
        first = candidate if first is None else first
        registration = again(candidate)
        if registration.outcome is Outcome.REGISTERED and registration.text == text:
            return candidate
    assert first is not None
    return first


def without_imports(text: str, package: str, wanted: list[Import], first_party: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield *text* without those of the imports that nothing uses, the tidiest first; at least *text* itself."""
    if not wanted:
        yield text
        return
    source = Source(text, package, first_party)
    unused = [binding for binding in bindings(source, wanted[0]) if not is_used(source, binding)]
    if not unused:
        yield from without_imports(text, package, wanted[1:], first_party)
        return
    for way in removals(source, unused[0]):
        yield from without_imports(source.apply(way), package, wanted, first_party)


def lines_using(source: Source, names: Collection[str]) -> tuple[str, ...]:
    """Return the module's lines that name one of *names* as a value."""
    numbers = {node.lineno for node in references(source, names)}
    return tuple(source.lines[number - 1].strip() for number in sorted(numbers))


def _names(source: Source, wanted: Import) -> set[str]:
    return {binding.expression for binding in bindings(source, wanted)} | {wanted.name}
