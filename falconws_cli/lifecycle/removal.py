"""Taking generated things back: what goes, what is put back, and what stays because somebody made it their own.

One rule for all of it: a file goes, or gets its earlier text again, only if it is byte for byte what falconws left
behind; what was edited since is kept and named, unless the user forces it. Where a file of the user's own was edited
in the meantime, what was registered in it is taken out and nothing else. Plans only; writer.py writes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from falconws_cli.change import changes as tracked
from falconws_cli.change.changes import FileChange
from falconws_cli.change.manifest import (
    Destroyed,
    Manifest,
    Operation,
    RecordedEdit,
    RecordedRegistration,
    without_destroyed,
)
from falconws_cli.change.plan import (
    NOTHING,
    PlannedFile,
    PlannedRegistration,
    Requirements,
    common,
    pyproject_lists,
    union,
    without,
)
from falconws_cli.change.record import Record, is_text, sha256, unix, with_newlines_of
from falconws_cli.lifecycle.usages import importers, still_used

PYPROJECT = PurePosixPath("pyproject.toml")
_EDITED = "edited since; --force takes it away too"
_SHARED = ("hub",)
"""The kinds of registrations that several things have in common."""


@dataclass
class RemovalPlan:
    """What taking something back means."""

    command: str
    """The command line that is taken back."""
    manifest: Manifest
    """What the project remembers afterwards."""
    files: list[PlannedFile] = field(default_factory=list)
    kept: list[FileChange] = field(default_factory=list)
    registrations: list[PlannedRegistration] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_to_do: list[str] = field(default_factory=list)
    """What the user has to see to."""
    texts: list[bytes] = field(default_factory=list)
    """Texts that the manifest names for the first time."""


def plan_removal(
    record: Record, positions: Sequence[int], command: str, *, destroys: bool, force: bool = False
) -> RemovalPlan:
    """Return what taking back the operations in these positions means.

    Args:
        record: What the project remembers.
        positions: Where the operations are in the manifest.
        command: What the plan is called.
        destroys: Things go for good, whatever was there before they were generated.
        force: What was edited since goes too.

    Raises:
        CommandError: A file cannot be read, or a text that is needed is lost.
    """
    return _Taking(record, positions, force=force).plan(command, destroys=destroys)


class _Taking:
    """Takes some operations back; one use."""

    def __init__(self, record: Record, positions: Sequence[int], *, force: bool) -> None:
        self._memory = record
        self._root = record.root
        self._positions = positions
        self._operations = [record.manifest.operations[position] for position in positions]
        self._force = force
        self._before: dict[str, bytes | None] = {}
        self._after: dict[str, bytes | None] = {}
        self._restored: set[str] = set()
        self._kept: list[FileChange] = []
        self._registrations: list[PlannedRegistration] = []

    def plan(self, command: str, *, destroys: bool) -> RemovalPlan:
        """Return the whole of it. *destroys*: things go for good, whatever was there before they were generated."""
        remaining = self._generated(destroys=destroys)
        self._unneeded_packages(remaining)
        needed, gone = self._requirements(remaining)
        if not destroys or len(self._operations) == 1:
            self._restore_edits(kept_requirements=bool(needed))
        self._unregister(destroys=destroys)
        self._remove_requirements(gone)
        changed = {path: data for path, data in self._after.items() if data != self._before[path]}
        plan = RemovalPlan(command, self._manifest(remaining, needed, changed))
        plan.left_to_do = [*self._importers(changed), *self._mentions(changed)]
        plan.files = [tracked.planned(path, self._before[path], data) for path, data in sorted(changed.items())]
        plan.kept = self._kept
        plan.registrations = self._registrations
        if gone.dependencies:
            names = " and ".join(gone.dependencies)
            plan.notes.append(f"{names} is no dependency of the project any more; pip has not uninstalled it.")
        if needed.dependencies:
            plan.notes.append(f"{' and '.join(needed.dependencies)} stays a dependency: other code needs it.")
        if not changed and plan.manifest.operations == self._memory.manifest.operations:
            # An undo is still to bring back what went the first time.
            plan.manifest = self._memory.manifest
            plan.left_to_do.append("Nothing else is left of it, and nothing was changed.")
        elif destroys:
            self._allow_bringing_back(plan, changed)
        return plan

    def _read(self, path: str) -> bytes | None:
        if path not in self._before:
            self._before[path] = self._after[path] = tracked.read(self._root, path)
        return self._after[path]

    def _others(self) -> list[Operation]:
        """Return the operations that stay."""
        operations = enumerate(self._memory.manifest.operations)
        return [found for position, found in operations if position not in self._positions and not found.partly_removed]

    def _generated(self, *, destroys: bool) -> dict[str, str]:
        """Take the generated files away; return those that stay, each with its pristine text."""
        remaining = {}
        for path in sorted({path for operation in self._operations for path in operation.files}):
            current = self._read(path)
            if current is None:
                continue
            makers = [operation for operation in self._operations if path in operation.files]
            made = [maker.files[path] for maker in makers]
            if destroys and any(other.files.get(path) in made for other in self._others()):
                # Another thing has the same file, and stays.
                continue
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
        added = union(operation.added for operation in self._operations)
        if not added:
            return NOTHING, NOTHING
        modules = {module for operation in self._operations for module in operation.requirements.modules}
        going = [self._root / path for path, data in self._after.items() if data is None]
        needed = still_used(self._root, added, modules, (operation.requirements for operation in self._others()), going)
        return needed, without(added, needed)

    def _restore_edits(self, *, kept_requirements: bool) -> None:
        """Give each file that is what one operation left behind the text from before, byte for byte."""
        (operation,) = self._operations
        kept = {made.path for made in operation.registrations if self._is_shared(made)}
        if kept_requirements:
            kept.add(str(PYPROJECT))
        for path, edit in operation.edits.items():
            if path in operation.files or path in kept:
                continue
            current = self._read(path)
            before = self._memory.text(edit.before)
            if current is not None and before is not None and is_text(current, edit.after):
                self._after[path] = with_newlines_of(current, before)
                self._restored.add(path)

    def _unregister(self, *, destroys: bool) -> None:
        from falconws_cli.source.register import RegisterOutcome, UnregisterOutcome, UnregisterResult
        from falconws_cli.source.registration import import_from

        seen = []
        for operation in self._operations:
            for made in operation.registrations:
                identity = (made.kind, made.path, made.arguments)
                # What was registered before the command is not the command's to take back, nor is what others share.
                was_there = made.outcome == RegisterOutcome.ALREADY.value and (made.kind in _SHARED or not destroys)
                if identity in seen or was_there or self._is_shared(made):
                    continue
                seen.append(identity)
                spec = made.spec
                current = self._read(made.path)
                if current is None:
                    continue
                added = [import_from(text) for text in made.imports]
                if made.path in self._restored:
                    was = spec.unregister(tracked.decoded(self._before[made.path] or b""), added)
                    removal = UnregisterResult(was.what, UnregisterOutcome.REMOVED, tracked.decoded(current))
                else:
                    # What was there before the command, or was added by hand, may have brought its import along.
                    known = added if made.outcome == RegisterOutcome.REGISTERED.value else None
                    removal = spec.unregister(tracked.decoded(current), known)
                    self._after[made.path] = tracked.encoded(removal.text)
                self._registrations.append(PlannedRegistration(spec.path, removal, spec))

    def _is_shared(self, made: RecordedRegistration) -> bool:
        """Tell whether something that stays needs the same registration."""
        return made.kind in _SHARED and any(_same(made, other) for one in self._others() for other in one.registrations)

    def _remove_requirements(self, gone: Requirements) -> None:
        path = str(PYPROJECT)
        if not gone or path in self._restored:
            return
        current = self._read(path)
        if current is not None:
            from falconws_cli.source.pyproject import remove_from_pyproject

            text = remove_from_pyproject(tracked.decoded(current), **pyproject_lists(gone))
            self._after[path] = tracked.encoded(text)

    def _importers(self, changed: Mapping[str, bytes | None]) -> list[str]:
        """Return a sentence for each line of the project that imports what goes."""
        gone = [PurePosixPath(path) for path, data in changed.items() if data is None]
        texts = {self._root / path: data for path, data in changed.items()}
        return [
            f"{line.path.relative_to(self._root).as_posix()}:{line.number} still imports {line.module}, which is gone: "
            "edit it by hand."
            for line in importers(self._root, gone, texts)
        ]

    def _mentions(self, changed: Mapping[str, bytes | None]) -> list[str]:
        """Return a sentence for each of the project's own texts that mentions a route that goes."""
        routes = [
            str(planned.spec.arguments["template"]).partition("{")[0].rstrip("/")
            for planned in self._registrations
            if planned.spec is not None and planned.spec.kind == "route"
        ]
        sentences = []
        for file in sorted(self._root.glob("*.md")):
            lines = (changed.get(file.name) or tracked.read(self._root, file.name) or b"").decode(errors="replace")
            for route in filter(None, routes):
                mention = re.compile(rf"(?:^|[\s`\"'(]|:\d+){re.escape(route)}(?![\w/-])")
                number = next((n for n, line in enumerate(lines.splitlines(), 1) if mention.search(line)), None)
                if number is not None:
                    sentences.append(f"{file.name}:{number} still mentions {route}, which is gone: edit it by hand.")
        return sentences

    def _manifest(
        self, remaining: Mapping[str, str], needed: Requirements, changed_files: Mapping[str, bytes | None]
    ) -> Manifest:
        *others, last = self._positions
        changed: dict[int, Operation | None] = dict.fromkeys(others)
        operation = self._memory.manifest.operations[last]
        changed[last] = None
        if remaining:
            changed[last] = Operation(
                operation.command, operation.version, operation.recipe, remaining, partly_removed=True
            )
        if needed:
            # Whoever needs it next time is whoever takes it along.
            for position, other in enumerate(self._memory.manifest.operations):
                shared = common(other.requirements, needed)
                if position not in self._positions and shared:
                    changed[position] = replace(other, added=union((other.added, shared)))
                    break
        self._hand_over(changed)
        edited = [
            (path, sha256(unix(self._before[path] or b"")), sha256(unix(data)))
            for path, data in changed_files.items()
            if data is not None
        ]
        return self._memory.manifest.replacing(changed).leaving(self._memory.manifest, edited)

    def _hand_over(self, changed: dict[int, Operation | None]) -> None:
        """Make shared registrations the next operation's that has them: when that goes, they go too."""
        handed: list[RecordedRegistration] = [
            made
            for operation in self._operations
            for made in operation.registrations
            if made.outcome == "registered" and self._is_shared(made)
        ]
        for made in handed:
            for position, operation in enumerate(self._memory.manifest.operations):
                operation = changed.get(position) or operation
                heirs = [_same(made, other) for other in operation.registrations]
                if position not in self._positions and not operation.partly_removed and any(heirs):
                    registrations = (made if _same(made, other) else other for other in operation.registrations)
                    changed[position] = replace(operation, registrations=tuple(registrations))
                    break

    def _allow_bringing_back(self, plan: RemovalPlan, changed: Mapping[str, bytes | None]) -> None:
        """Make the record keep what goes, until something else happens in the project."""
        earlier = without_destroyed(self._memory.manifest).dump()
        gone = {path: self._before[path] or b"" for path, data in changed.items() if data is None}
        edits = {path: (self._before[path] or b"", data) for path, data in changed.items() if data is not None}
        plan.texts = [earlier, *gone.values(), *(before for before, _ in edits.values())]
        destroyed = Destroyed(
            command=plan.command,
            files={path: sha256(data) for path, data in gone.items()},
            edits={path: RecordedEdit(sha256(before), sha256(after)) for path, (before, after) in edits.items()},
            manifest=sha256(earlier),
        )
        plan.manifest = replace(plan.manifest, destroyed=destroyed)

    def _keep(self, path: str, current: bytes, note: str) -> None:
        self._kept.append(tracked.kept(path, current, note))


def _same(one: RecordedRegistration, other: RecordedRegistration) -> bool:
    return (one.kind, one.path, one.arguments) == (other.kind, other.path, other.arguments)
