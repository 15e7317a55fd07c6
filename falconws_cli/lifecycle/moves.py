"""Finds generated code that was moved or renamed since: by a recorded `falconws moved`, or by looking for it.

A missing file is found again by the class that is registered from it, then by its content. The result is a record with
the present paths, modules and classes. Reads the project, and never writes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from falconws_cli.change import changes as files
from falconws_cli.change.operation import MAX_TEXT_BYTES, Operation, RecordedRegistration
from falconws_cli.change.record import Record, unix
from falconws_cli.errors import CommandError, ExitCode
from falconws_cli.lifecycle.rendered import REGISTERED, recorded_version
from falconws_cli.lifecycle.usages import module_of, project_files
from falconws_cli.source.registration import JsonValue


class NotFoundError(CommandError):
    """Something is not where it was made, and was not found again."""

    exit_code = ExitCode.LEFT_TO_DO


_ALIKE = 0.6
"""The similarity from which a file of the same name counts as an edited copy: files of one pattern are alike anyway."""
_ALMOST = 0.85
"""The same for a file of another name."""
_MAX_COMPARED_BYTES = 100_000
_IMPORT = re.compile(r"^(\s*(?:from|import)\s+)([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Moves:
    """From old places to new ones: of files, of folders with all that is in them."""

    places: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, PurePosixPath] = field(default_factory=dict)
    """Where the project has its packages; see `package_folders`."""

    def path(self, path: str) -> str:
        """Return where a file is now: by its own move, or that of the innermost folder."""
        for old in (path, *map(str, PurePosixPath(path).parents)):
            if old in self.places:
                return self.places[old] + path.removeprefix(old)
        return path

    def module(self, module: str) -> str:
        """Return the import name of a module or package now."""
        if not self.places or not module:
            return module
        # The innermost folder first.
        for old, new in sorted(self.places.items(), key=lambda place: -len(place[0])):
            if PurePosixPath(old).suffix not in ("", ".py", ".pyi"):
                continue
            before = module_of(PurePosixPath(old), self.folders)
            if module == before or module.startswith(f"{before}."):
                return module_of(PurePosixPath(new), self.folders) + module.removeprefix(before)
        return module

    def text(self, path: str, data: bytes) -> bytes:
        """Return a file's text with the modules of its imports as they are called now."""
        if not self.places or not path.endswith((".py", ".pyi")):
            return data
        text = _IMPORT.sub(lambda found: found[1] + self.module(found[2]), files.decoded(data))
        return files.encoded(text)

    def operation(self, operation: Operation) -> Operation:
        """Return the operation as if it had made everything where it is now."""
        if not self.places:
            return operation
        return replace(
            operation,
            files={self.path(path): self.text(path, text) for path, text in operation.files.items()},
            packages=tuple(map(self.path, operation.packages)),
            edits={self.path(path): edit for path, edit in operation.edits.items()},
            registrations=tuple(map(self.registration, operation.registrations)),
        )

    def registration(self, made: RecordedRegistration) -> RecordedRegistration:
        """Return the registration with today's file, package and modules."""
        arguments = {name: self._argument(name, value) for name, value in made.arguments.items()}
        imports = tuple(self._import(text) for text in made.imports)
        package = self.module(made.package)
        return replace(made, path=self.path(made.path), package=package, arguments=arguments, imports=imports)

    def _argument(self, name: str, value: JsonValue) -> JsonValue:
        if name in ("resource", "middleware", "handler"):
            return self._import(str(value))
        if name == "imports" and isinstance(value, list):
            return [self._import(str(one)) for one in value]
        return self.module(str(value)) if name == "first_party" else value

    def _import(self, text: str) -> str:
        module, _, name = text.partition(":")
        return f"{self.module(module)}:{name}"


@dataclass(frozen=True)
class Located:
    """A record with today's places, and what is not where it was made."""

    original: Record
    """The record as it is written."""
    record: Record
    """The same operations, as if they had made everything where it is now."""
    found: Mapping[str, str]
    """Files that were found again, from the place that is recorded to the one where they are."""
    missing: frozenset[str]
    """Files that were not found again."""
    moves: Moves
    """What was found again, folders included."""

    def since(self, name: str) -> Moves:
        """Return what was moved since the operation of this id."""
        recorded = _recorded_moves(self.original, name)
        places = {old: self.moves.path(new) for old, new in recorded.places.items()} | dict(self.moves.places)
        return Moves(places, self.moves.folders)

    def as_written(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return operations of `record`, some of them changed by a removal, with the places that are written."""
        before = {operation.id: operation for operation in self.original.operations}
        located = {operation.id: operation for operation in self.record.operations}
        unchanged = {one.id for one in operations if one == located.get(one.id)}
        return [before[one.id] if one.id in unchanged else self._changed(one, before.get(one.id)) for one in operations]

    def _changed(self, operation: Operation, before: Operation | None) -> Operation:
        if before is None:
            return operation
        moves = self.since(before.id)
        files = {path: text for path, text in before.files.items() if moves.path(path) in operation.files}
        registrations = tuple(
            replace(old, outcome=new.outcome, imports=new.imports)
            for old, new in zip(before.registrations, operation.registrations, strict=False)
        )
        if operation.partly_removed:
            return replace(operation, files=files)
        known = {moves.path(path) for path in before.packages}
        packages = (*before.packages, *(path for path in operation.packages if path not in known))
        return replace(before, files=files, packages=packages, registrations=registrations, added=operation.added)

    def require(self, operations: Iterable[Operation], undone: str) -> None:
        """Refuse to go on if something that *operations* made was not found again.

        Raises:
            NotFoundError: Something is missing; *undone* says what is left as it is.
        """
        paths = {path for operation in operations for path in operation.files}
        paths |= {made.path for operation in operations for made in _registered(operation)}
        missing = sorted(paths & self.missing)
        if missing:
            is_not = "is not where it was made" if len(missing) == 1 else "are not where they were made"
            raise NotFoundError(
                f"{', '.join(missing)} {is_not}; {undone}. Run `falconws moved {missing[0]} NEW` if you have moved it, "
                f"`falconws forget {missing[0]}` if you have deleted it, or use --force."
            )


def locate(record: Record) -> Located:
    """Return where everything is that *record* has.

    Raises:
        CommandError: A file cannot be read.
    """
    moved = [_recorded_moves(record, one.id).operation(one) for one in record.operations]
    places = {path for operation in moved if operation.is_generated for path in operation.files}
    places |= {made.path for operation in moved for made in _registered(operation)}
    absent = sorted(path for path in places if files.read(record.root, path) is None)
    found = _find(replace(record, operations=tuple(moved)), absent, places) if absent else {}
    # A folder has moved as a whole if nothing that is recorded is still in it.
    stay = [path for path in places if path not in absent]
    folders = {
        old: new for old, new in _with_folders(found).items() if not any(path.startswith(f"{old}/") for path in stay)
    }
    moves = Moves({**folders, **found}, record.folders)
    operations = tuple(_renamed(record, moves.operation(operation)) for operation in moved)
    missing = frozenset(absent) - found.keys()
    return Located(record, replace(record, operations=operations), found, missing, moves)


def _recorded_moves(record: Record, name: str) -> Moves:
    """Return what `falconws moved` has recorded since the operation of this id."""
    places: dict[str, str] = {}
    for operation in record.operations:
        if operation.id > name and operation.moves:
            # What was moved once may have been moved again.
            later = Moves(operation.moves)
            places = {old: later.path(new) for old, new in places.items()} | dict(operation.moves)
    return Moves(places, record.folders)


def _find(record: Record, absent: Sequence[str], places: set[str]) -> dict[str, str]:
    """Return the new places of missing files, as far as there is one and only one for each."""
    pool = {path: data for path, data in _pool(record) if path not in places}
    version = recorded_version(record)
    texts = {path: version.with_registrations(PurePosixPath(path)) for path in absent}
    wanted = {path: text for path, text in texts.items() if text is not None}
    classes = _registered_classes(record)
    found: dict[str, str] = {}
    # The largest texts are the least likely to be alike.
    for path in sorted(absent, key=lambda path: -len(wanted.get(path, b""))):
        if path in wanted:
            place = _find_one(path, wanted[path], classes.get(path, ""), pool)
        else:
            place = _find_registering(record, path, pool)
        if place is not None:
            found[path] = place
            del pool[place]
    folders = _with_folders(found)
    for path in absent:
        place = Moves(folders).path(path)
        if path not in found and place in pool:
            found[path] = place
            del pool[place]
    return found


def _find_one(path: str, text: bytes, name: str, pool: Mapping[str, bytes]) -> str | None:
    suffix = PurePosixPath(path).suffix
    candidates = {place: data for place, data in pool.items() if PurePosixPath(place).suffix == suffix}
    if name:
        statement = re.compile(rb"^class %s\b" % re.escape(name.encode()), re.MULTILINE)
        defining = [place for place, data in candidates.items() if statement.search(data)]
        if len(defining) == 1:
            return defining[0]
    if not text.strip():
        return None
    same = [place for place, data in candidates.items() if _plain(data) == _plain(text)]
    if same:
        named = [place for place in same if PurePosixPath(place).name == PurePosixPath(path).name]
        return named[0] if len(named) == 1 else same[0] if len(same) == 1 else None
    ratios = sorted(((_ratio(text, data), place) for place, data in candidates.items()), reverse=True)
    if not ratios or (len(ratios) > 1 and ratios[1][0] == ratios[0][0]):
        return None
    ratio, place = ratios[0]
    return place if ratio >= (_ALIKE if PurePosixPath(place).name == PurePosixPath(path).name else _ALMOST) else None


def _find_registering(record: Record, path: str, pool: Mapping[str, bytes]) -> str | None:
    """Return the module with all that was registered in a file that the user has written."""
    from falconws_cli.source.register.result import RegisterOutcome

    specs = [made.spec for operation in record.generated for made in _registered(operation) if made.path == path]
    having = [
        place
        for place, data in pool.items()
        if place.endswith(".py")
        and all(spec.register(files.decoded(data)).outcome is RegisterOutcome.ALREADY for spec in specs)
    ]
    return having[0] if len(having) == 1 else None


def _registered(operation: Operation) -> list[RecordedRegistration]:
    return [made for made in operation.registrations if made.outcome == REGISTERED]


def _ratio(one: bytes, other: bytes) -> float:
    if len(other) > _MAX_COMPARED_BYTES:
        return 0.0
    return SequenceMatcher(None, _plain(one).splitlines(), _plain(other).splitlines(), autojunk=False).ratio()


def _plain(data: bytes) -> bytes:
    """Return a text without the names of imported modules, which change when a package is renamed."""
    return re.sub(rb"^(\s*(?:from|import)\s+)[\w.]+", rb"\1", unix(data), flags=re.MULTILINE)


def _pool(record: Record) -> Iterator[tuple[str, bytes]]:
    suffixes = {PurePosixPath(path).suffix for operation in record.generated for path in operation.files}
    for path in project_files(record.root, suffixes):
        with suppress(OSError):
            if path.stat().st_size <= MAX_TEXT_BYTES:
                yield path.relative_to(record.root).as_posix(), path.read_bytes()


def _registered_classes(record: Record) -> dict[str, str]:
    """Return the class that is registered from a module, by the module's path."""
    classes: dict[str, str] = {}
    for operation in record.generated:
        for made in operation.registrations:
            for argument in ("resource", "middleware", "handler"):
                module, _, name = str(made.arguments.get(argument, "")).partition(":")
                if name:
                    classes |= {
                        path: name
                        for path in operation.files
                        if module_of(PurePosixPath(path), record.folders) == module
                    }
    return classes


def _with_folders(found: Mapping[str, str]) -> dict[str, str]:
    """Return the moves with those of whole folders, where paths differ only in their beginning."""
    folders: dict[str, set[str]] = {}
    for old, new in found.items():
        before, after = list(PurePosixPath(old).parts), list(PurePosixPath(new).parts)
        while len(before) > 1 and len(after) > 1 and before[-1] == after[-1]:
            before.pop()
            after.pop()
            folders.setdefault("/".join(before), set()).add("/".join(after))
    return {old: min(new) for old, new in folders.items() if len(new) == 1} | dict(found)


def _renamed(record: Record, operation: Operation) -> Operation:
    """Return the operation with the classes that its routes have now."""
    registrations = tuple(_renamed_route(record, made) for made in operation.registrations)
    return replace(operation, registrations=registrations)


def _renamed_route(record: Record, made: RecordedRegistration) -> RecordedRegistration:
    from falconws_cli.source.register.route_reader import routes_in

    if made.kind != "route" or made.outcome != REGISTERED:
        return made
    text = files.decoded(files.read(record.root, made.path) or b"")
    module, _, name = str(made.arguments["resource"]).partition(":")
    resource = routes_in(text).get(str(made.arguments["template"]), "").partition("(")[0].rpartition(".")[2]
    if resource in ("", name) or re.search(rf"\b{re.escape(name)}\b", text):
        return made
    imported = re.search(rf"^from\s+([\w.]+)\s+import\s+.*\b{re.escape(resource)}\b", text, re.MULTILINE)
    place = f"{imported[1] if imported else module}:{resource}"
    imports = tuple(place if one == made.arguments["resource"] else one for one in made.imports)
    return replace(made, arguments={**made.arguments, "resource": place}, imports=imports)
