"""Taking generated things back: what goes, what is put back, and what stays because somebody made it their own.

One rule for all of it: a file goes, or gets its earlier text again, only if it is byte for byte what falconws left
behind; what was edited since is kept and named, unless the user forces it. Where a file of the user's own was edited
in the meantime, what was registered in it is taken out and nothing else. Plans only; writer.py writes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.manifest import Destroyed, Edit, Made, Manifest, Operation, load_manifest, without_destroyed
from falconws_cli.memory import MANIFEST, Memory, is_text, sha256, unix, with_newlines_of
from falconws_cli.needs import importers, still_needed
from falconws_cli.plan import NOTHING, JsonValue, PlannedFile, PlannedRegistration, Requirements
from falconws_cli.preview import Change
from falconws_cli.writer import Status

_PYPROJECT = PurePosixPath("pyproject.toml")
_EDITED = "edited since; --force takes it away too"


@dataclass
class Withdrawal:
    """What taking something back means."""

    command: str
    """The command line that is taken back."""
    manifest: Manifest
    """What the project remembers afterwards."""
    files: list[PlannedFile] = field(default_factory=list)
    kept: list[Change] = field(default_factory=list)
    registrations: list[PlannedRegistration] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_to_do: list[str] = field(default_factory=list)
    """What the user has to see to."""
    texts: list[bytes] = field(default_factory=list)
    """Texts that the manifest names for the first time."""


def plan_undo(memory: Memory, *, force: bool) -> Withdrawal:
    """Return what takes the last generating command back, or brings back what the last `destroy` took.

    Raises:
        CommandError: The project remembers nothing, or a text that is needed is lost.
        RefusedError: What is left cannot be undone.
    """
    manifest = memory.manifest
    if manifest.destroyed is not None:
        return _bring_back(memory, manifest.destroyed, force=force)
    last = len(manifest.operations) - 1
    # What an earlier undo has left, because it was edited, is asked for again with --force only.
    while last >= 0 and manifest.operations[last].taken_back and not force:
        last -= 1
    if last < 0:
        raise RefusedError("Nothing is left to undo.")
    operation = manifest.operations[last]
    if operation.recipe.generator == "project":
        raise RefusedError(
            f"Nothing is left to undo but the project itself, which `{operation.command}` made; "
            f"to take that back, delete the folder {memory.root}."
        )
    return _Taking(memory, [last], force=force).plan(operation.command, destroys=False)


def plan_destroy(memory: Memory, kind: str, name: str, command: str, *, force: bool) -> Withdrawal:
    """Return what removes the thing of this kind and name, whatever commands made it.

    Raises:
        RefusedError: The project does not remember such a thing.
    """
    made = {
        position: operation.recipe.name
        for position, operation in enumerate(memory.manifest.operations)
        if operation.recipe.generator == kind
    }
    wanted = canonical(kind, name, made.values())
    positions = [position for position, known in made.items() if known == wanted]
    if not positions:
        from falconws_cli.suggestions import did_you_mean

        known = sorted(set(made.values()))
        hint = did_you_mean(name, known) or (f" There is {', '.join(known)}." if known else "")
        raise RefusedError(f'falconws made no {kind.replace("-", " ")} "{name}" in this project.{hint}')
    return _Taking(memory, positions, force=force).plan(command, destroys=True)


def canonical(kind: str, name: str, known: Iterable[str]) -> str | None:
    """Return which of *known* the user means by *name*, in whatever spelling, or None."""
    from falconws_cli.names import parse_name

    known = set(known)
    if name in known:
        return name
    for suffix in ("", kind.rpartition("-")[2]):
        try:
            spelled = parse_name(name, suffix=suffix).kebab
        except CommandError:
            return None
        if spelled in known:
            return spelled
    return None


class _Taking:
    """Takes some operations back; one use."""

    def __init__(self, memory: Memory, positions: Sequence[int], *, force: bool) -> None:
        self._memory = memory
        self._root = memory.root
        self._positions = positions
        self._operations = [memory.manifest.operations[position] for position in positions]
        self._force = force
        self._before: dict[str, bytes | None] = {}
        self._after: dict[str, bytes | None] = {}
        self._restored: set[str] = set()
        self._kept: list[Change] = []
        self._registrations: list[PlannedRegistration] = []

    def plan(self, command: str, *, destroys: bool) -> Withdrawal:
        """Return the whole of it. *destroys*: things go for good, whatever was there before they were generated."""
        remaining = self._generated(destroys=destroys)
        self._unneeded_packages(remaining)
        needed, gone = self._requirements(remaining)
        if not destroys or len(self._operations) == 1:
            self._restore_edits(kept_requirements=bool(needed))
        self._unregister(destroys=destroys)
        self._remove_requirements(gone)
        changed = {path: data for path, data in self._after.items() if data != self._before[path]}
        withdrawal = Withdrawal(command, self._manifest(remaining, needed, changed))
        withdrawal.left_to_do = self._importers(changed)
        withdrawal.files = [_planned(path, self._before[path], data) for path, data in sorted(changed.items())]
        withdrawal.kept = self._kept
        withdrawal.registrations = self._registrations
        if gone.dependencies:
            names = " and ".join(gone.dependencies)
            withdrawal.notes.append(f"{names} is no dependency of the project any more; pip has not uninstalled it.")
        if needed.dependencies:
            withdrawal.notes.append(f"{' and '.join(needed.dependencies)} stays a dependency: other code needs it.")
        if destroys:
            self._allow_bringing_back(withdrawal, changed)
        return withdrawal

    def _read(self, path: str) -> bytes | None:
        if path not in self._before:
            try:
                data = (self._root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                data = None
            except OSError as error:
                raise CommandError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from error
            self._before[path] = self._after[path] = data
        return self._after[path]

    def _generated(self, *, destroys: bool) -> dict[str, str]:
        """Take the generated files away; return those that stay, each with its pristine text."""
        remaining = {}
        for path in sorted({path for operation in self._operations for path in operation.files}):
            current = self._read(path)
            if current is None:
                continue
            makers = [operation for operation in self._operations if path in operation.files]
            ours = {operation.files[path] for operation in makers}
            ours |= {operation.edits[path].after for operation in makers if path in operation.edits}
            earlier = makers[0].edits.get(path)
            if not (self._force or any(is_text(current, key) for key in ours)):
                unchanged = earlier is not None and earlier.before == earlier.after and not destroys
                if not unchanged:
                    remaining[path] = makers[-1].files[path]
                    self._keep(path, current, _EDITED)
            elif earlier is None or destroys:
                self._after[path] = None
            else:
                self._after[path] = with_newlines_of(current, self._memory.require_text(earlier.before))
                self._restored.add(path)
        return remaining

    def _unneeded_packages(self, remaining: Mapping[str, str]) -> None:
        """Take the empty `__init__.py`s away that were added for files which are gone now."""
        for path in sorted({path for operation in self._operations for path in operation.packages}, reverse=True):
            folder = (self._root / path).parent
            if self._read(path) != b"":
                continue
            gone = {str(self._root / other) for other, data in self._after.items() if data is None}
            others = [entry for entry in folder.iterdir() if entry.name not in ("__init__.py", "__pycache__")]
            if all(str(entry) in gone for entry in others):
                self._after[path] = None

    def _requirements(self, remaining: Mapping[str, str]) -> tuple[Requirements, Requirements]:
        """Return which requirements that were added are still needed, and which can go."""
        added = _union(operation.added for operation in self._operations)
        if not added:
            return NOTHING, NOTHING
        others = [
            operation
            for position, operation in enumerate(self._memory.manifest.operations)
            if position not in self._positions
        ]
        modules = {module for operation in self._operations for module in operation.requirements.modules}
        going = [self._root / path for path, data in self._after.items() if data is None]
        needed = still_needed(self._root, added, modules, (operation.requirements for operation in others), going)
        return needed, _without(added, needed)

    def _restore_edits(self, *, kept_requirements: bool) -> None:
        """Give each file that is what one operation left behind the text from before, byte for byte."""
        (operation,) = self._operations
        for path, edit in operation.edits.items():
            if path in operation.files or (path == str(_PYPROJECT) and kept_requirements):
                continue
            current = self._read(path)
            before = self._memory.text(edit.before)
            if current is not None and before is not None and is_text(current, edit.after):
                self._after[path] = with_newlines_of(current, before)
                self._restored.add(path)

    def _unregister(self, *, destroys: bool) -> None:
        from falconws_cli.register import Outcome, Removal, RemovalOutcome
        from falconws_cli.wiring import import_from

        seen = []
        for operation in self._operations:
            for made in operation.registrations:
                identity = (made.kind, made.path, made.arguments)
                # What was registered before the command is not the command's to take back, nor is what others share.
                shared = made.kind == "hub"
                if identity in seen or (made.outcome == Outcome.ALREADY.value and (shared or not destroys)):
                    continue
                if shared and self._others_have(identity):
                    continue
                seen.append(identity)
                wiring = made.wiring
                current = self._read(made.path)
                if current is None:
                    continue
                added = [import_from(text) for text in made.imports]
                if made.path in self._restored:
                    was = wiring.unregister(_decoded(self._before[made.path] or b""), added)
                    removal = Removal(was.what, RemovalOutcome.REMOVED, _decoded(current))
                else:
                    # What was there before the command, or was added by hand, may have brought its import along.
                    known = added if made.outcome == Outcome.REGISTERED.value else None
                    removal = wiring.unregister(_decoded(current), known)
                    self._after[made.path] = removal.text.encode(errors="surrogateescape")
                self._registrations.append(PlannedRegistration(wiring.path, removal, wiring))

    def _others_have(self, identity: tuple[str, str, Mapping[str, JsonValue]]) -> bool:
        return any(
            (made.kind, made.path, made.arguments) == identity
            for position, operation in enumerate(self._memory.manifest.operations)
            if position not in self._positions and not operation.taken_back
            for made in operation.registrations
        )

    def _remove_requirements(self, gone: Requirements) -> None:
        path = str(_PYPROJECT)
        if not gone or path in self._restored:
            return
        current = self._read(path)
        if current is not None:
            from falconws_cli.dependencies import remove_from_pyproject

            lists = {name: values for name, values in vars(gone).items() if name != "modules"}
            self._after[path] = remove_from_pyproject(_decoded(current), **lists).encode(errors="surrogateescape")

    def _importers(self, changed: Mapping[str, bytes | None]) -> list[str]:
        """Return a sentence for each line of the project that imports what goes."""
        gone = [PurePosixPath(path) for path, data in changed.items() if data is None]
        texts = {self._root / path: data for path, data in changed.items()}
        return [
            f"{line.path.relative_to(self._root).as_posix()}:{line.number} still imports {line.module}, which is gone: "
            "see to it yourself."
            for line in importers(self._root, gone, texts)
        ]

    def _manifest(
        self, remaining: Mapping[str, str], needed: Requirements, changed_files: Mapping[str, bytes | None]
    ) -> Manifest:
        *others, last = self._positions
        changed: dict[int, Operation | None] = dict.fromkeys(others)
        operation = self._memory.manifest.operations[last]
        changed[last] = None
        if remaining:
            changed[last] = Operation(
                operation.command, operation.version, operation.recipe, remaining, taken_back=True
            )
        if needed:
            # Whoever needs it next time is whoever takes it along.
            for position, other in enumerate(self._memory.manifest.operations):
                shared = _common(other.requirements, needed)
                if position not in self._positions and shared:
                    changed[position] = replace(other, added=_union((other.added, shared)))
                    break
        edited = [
            (path, sha256(unix(self._before[path] or b"")), sha256(unix(data)))
            for path, data in changed_files.items()
            if data is not None
        ]
        return self._memory.manifest.replacing(changed).leaving(self._memory.manifest, edited)

    def _allow_bringing_back(self, withdrawal: Withdrawal, changed: Mapping[str, bytes | None]) -> None:
        """Make the memory keep what goes, until something else happens in the project."""
        earlier = without_destroyed(self._memory.manifest).dump()
        gone = {path: self._before[path] or b"" for path, data in changed.items() if data is None}
        edits = {path: (self._before[path] or b"", data) for path, data in changed.items() if data is not None}
        withdrawal.texts = [earlier, *gone.values(), *(before for before, _ in edits.values())]
        destroyed = Destroyed(
            command=withdrawal.command,
            files={path: sha256(data) for path, data in gone.items()},
            edits={path: Edit(sha256(before), sha256(after)) for path, (before, after) in edits.items()},
            manifest=sha256(earlier),
        )
        withdrawal.manifest = replace(withdrawal.manifest, destroyed=destroyed)

    def _keep(self, path: str, current: bytes, note: str) -> None:
        self._kept.append(_kept(path, current, note))


def _bring_back(memory: Memory, destroyed: Destroyed, *, force: bool) -> Withdrawal:
    """Return what brings back what a `falconws destroy` took away."""
    manifest = load_manifest(memory.require_text(destroyed.manifest), str(MANIFEST))
    back = Withdrawal(destroyed.command, manifest)
    for path, key in sorted(destroyed.files.items()):
        current = _read(memory.root, path)
        text = memory.require_text(key)
        if current is not None and current != text and not force:
            back.kept.append(_kept(path, current, "another file is there now; --force overwrites it"))
        else:
            back.files.append(_planned(path, current, text))
    restored = set()
    edited: dict[str, tuple[bytes, bytes]] = {}
    for path, edit in destroyed.edits.items():
        current = _read(memory.root, path)
        if current is not None and is_text(current, edit.after):
            restored.add(path)
            edited[path] = (current, with_newlines_of(current, memory.require_text(edit.before)))
    for operation in _returning(memory.manifest, manifest):
        for made in operation.registrations:
            back.registrations += _again(memory, made, edited, restored)
        if operation.added and str(_PYPROJECT) not in restored:
            current = _read(memory.root, str(_PYPROJECT)) or b""
            edited[str(_PYPROJECT)] = (current, _with_requirements(current, operation.added))
    back.files += [_planned(path, before, after) for path, (before, after) in sorted(edited.items()) if before != after]
    return back


def _again(
    memory: Memory, made: Made, edited: dict[str, tuple[bytes, bytes]], restored: set[str]
) -> list[PlannedRegistration]:
    """Register once more what was taken out of a file that has changed since."""
    from falconws_cli.register import Outcome

    current = _read(memory.root, made.path)
    if current is None:
        return []
    before, text = edited.get(made.path, (current, current))
    wiring = made.wiring
    source = before if made.path in restored else text
    registration = wiring.register(_decoded(source))
    if made.path not in restored and registration.outcome is Outcome.REGISTERED:
        edited[made.path] = (before, registration.text.encode())
    return [PlannedRegistration(wiring.path, registration, wiring)]


def _returning(now: Manifest, then: Manifest) -> list[Operation]:
    return [operation for operation in then.operations if operation not in now.operations]


def _with_requirements(text: bytes, added: Requirements) -> bytes:
    from falconws_cli.dependencies import edit_pyproject

    lists = {name: values for name, values in vars(added).items() if name != "modules"}
    return edit_pyproject(_decoded(text), **lists).encode()


def _planned(path: str, before: bytes | None, after: bytes | None) -> PlannedFile:
    if after is None:
        return PlannedFile(PurePosixPath(path), b"", before=before, delete=True)
    return PlannedFile(PurePosixPath(path), after, before=before)


def _kept(path: str, current: bytes, note: str) -> Change:
    return Change(PlannedFile(PurePosixPath(path), current), Status.SKIP, current, note, left_to_do=True)


def _read(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from error


def _decoded(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _combined(
    parts: Sequence[Requirements], choose: Callable[[str, Sequence[tuple[str, ...]]], Iterable[str]]
) -> Requirements:
    names = [known.name for known in fields(Requirements)]
    return Requirements(**{name: tuple(choose(name, [getattr(part, name) for part in parts])) for name in names})


def _union(parts: Iterable[Requirements]) -> Requirements:
    return _combined(list(parts), lambda _, lists: dict.fromkeys(value for values in lists for value in values))


def _common(one: Requirements, other: Requirements) -> Requirements:
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value in lists[1]])


def _without(one: Requirements, other: Requirements) -> Requirements:
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value not in lists[1]])
