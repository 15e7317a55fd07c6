"""What all kinds of registration share, and what those of an object share: a statement and its imports. Pure.

Must not know the kinds themselves.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from falconws_cli.source.imports import bindings, import_edits, import_removals, is_used, local_name, references
from falconws_cli.source.python import CannotEditError, Edit, Import, Source
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult

# An object is rarely registered more than once; this only bounds the loop.
_MOST_REGISTRATIONS = 20


class RegistrationKind(ABC):
    """Something to register in a file. The arguments of a subclass say what, its methods say how."""

    what: str
    """Its name in reports: "the route /chat"."""

    def register(self, text: str, package: str) -> RegisterResult:
        """Register in *text*, the source of a module of *package*."""
        try:
            return self._register(text, package)
        except CannotEditError as error:
            return RegisterResult(self.what, RegisterOutcome.CANNOT, text, self._lines(), str(error))

    def unregister(self, text: str, package: str, added: Collection[Import] | None = None) -> UnregisterResult:
        """Remove the registration from *text*, and imports that are unused without it.

        Args:
            text: The module's source.
            package: The package of the module.
            added: The imports that registering added; others stay. None stands for all that are unused afterwards.
        """
        try:
            return self._unregister(text, package, added)
        except CannotEditError as error:
            return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, (), str(error))

    @abstractmethod
    def _lines(self) -> tuple[str, ...]:
        """Return what a user would add by hand."""

    @abstractmethod
    def _register(self, text: str, package: str) -> RegisterResult:
        """Register in *text*.

        Raises:
            CannotEditError: It is not certain where the registration belongs.
        """

    @abstractmethod
    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        """Remove the registration from *text*.

        Raises:
            CannotEditError: It cannot be removed.
        """


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


class ObjectKind(RegistrationKind):
    """One object to register, and how a module registers it."""

    wanted: Import
    extra: tuple[Import, ...] = ()
    """Imports that the statement may need besides the object itself."""

    @abstractmethod
    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        """Return the statement, for a module that calls the object *name*; *source* is None for no module."""

    def needed(self, source: Source) -> tuple[Import, ...]:
        """Return the extra imports that the statement needs in this module."""
        return ()

    @abstractmethod
    def is_there(self, source: Source, names: Collection[str]) -> bool:
        """Return whether the module registers the object, which it calls by one of *names*.

        Raises:
            CannotEditError: It registers something else there.
        """

    @abstractmethod
    def insertion_point(self, source: Source, name: str) -> InsertionPoint | InsertedItem:
        """Return where the registration goes, when the module calls the object *name*.

        Raises:
            CannotEditError: It is not certain where the registration belongs.
        """

    @abstractmethod
    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return the edits that remove one registration of the object, or None when there is none."""

    def changed(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        """Return the edits that remove the registration as the user has changed it; None when it is unclear."""
        return None

    def _lines(self) -> tuple[str, ...]:
        return self.wanted.line, self.statement(None, "app", self.wanted.name, 0)

    def _register(self, text: str, package: str) -> RegisterResult:
        wanted, lines = self.wanted, self._lines()
        source = Source(text, package)
        if self.is_there(source, _names(source, wanted)):
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, lines)
        name = local_name(source, wanted) or wanted.name
        place = self.insertion_point(source, name)
        try:
            if isinstance(place, InsertionPoint):
                lines = (wanted.line, self.statement(source, place.app, name, 0))
                line = source.top_level_line(place.statement)
                code = self.statement(source, place.app, name, place.block[0].col_offset)
                insert = source.before if place.before else source.after
                edits, extra = [insert(place.statement, place.block, code)], self.needed(source)
            else:
                line, edits, extra = place.line, place.edits, ()
            missing, imports = import_edits(source, (wanted, *extra), before_line=line)
            edited = source.apply([*imports, *edits])
        except CannotEditError as error:
            return RegisterResult(self.what, RegisterOutcome.CANNOT, text, lines, str(error))
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, edited, lines, imports=missing)

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        source = Source(text, package)
        bound = bool(bindings(source, self.wanted))
        names = _names(source, self.wanted)
        using = lines_using(source, names) if bound else ()
        try:
            without = self._without(text, source, names)
            left = lines_using(Source(without, package), names) if bound else ()
            removable = [wanted for wanted in (self.wanted, *self.extra) if added is None or wanted in added]
            if without == text:
                # Without a statement to remove, the extra imports belong to other code.
                removable = [wanted for wanted in removable if wanted == self.wanted]
            candidates = without_imports(without, package, removable)
            result = closest(candidates, text, lambda candidate: self.register(candidate, package))
        except CannotEditError as error:
            return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, using, str(error))
        reason = f"{self.wanted.name} is still used" if left else ""
        if result != text:
            return UnregisterResult(self.what, UnregisterOutcome.REMOVED, result, left, reason)
        if left:
            return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, left, reason)
        return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)

    def _without(self, text: str, source: Source, names: Collection[str]) -> str:
        """Return *text*, which is that of *source*, without the statements that register the object."""
        without = text
        for _ in range(_MOST_REGISTRATIONS):
            edits = self.found(source, names)
            if edits is None and without == text:
                edits = self.changed(source, names)
            if edits is None:
                break
            without = source.apply(edits)
            source = Source(without, source.package)
        return without


def closest(candidates: Iterable[str], text: str, again: Callable[[str], RegisterResult]) -> str:
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
