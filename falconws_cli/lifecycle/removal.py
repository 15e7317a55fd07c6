"""Plans the removal of what operations generated: what is deleted, what is restored, and what stays.

One rule for all files: a file is deleted, or gets its earlier text again, only if nobody has edited it since; an edited
file is kept and listed, unless the user forces the removal. In a file that the user has written, only the
registrations are removed. Plans only; writer.py writes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from falconws_cli import VERSION
from falconws_cli.change import changes as files
from falconws_cli.change.changes import FileChange
from falconws_cli.change.merge import has_markers
from falconws_cli.change.operation import MAX_TEXT_BYTES, Operation, RecordedRegistration
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
from falconws_cli.change.record import Record, is_text, unix, with_newlines_of
from falconws_cli.change.transaction import recorded_edit
from falconws_cli.errors import CommandError
from falconws_cli.lifecycle.rendered import PYPROJECT, REGISTERED, recorded_version
from falconws_cli.lifecycle.usages import importers, still_used

_EDITED = "edited since; --force removes it too"


@dataclass
class RemovalPlan:
    """What a removal does, or an undo of one."""

    command: str
    """The command line that is undone, or the one that destroys."""
    operations: Sequence[Operation]
    """What is recorded afterwards."""
    restored: Sequence[Operation] = ()
    """Operations that are recorded again, as they were written before."""
    files: list[PlannedFile] = field(default_factory=list)
    kept: list[FileChange] = field(default_factory=list)
    registrations: list[PlannedRegistration] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_to_do: list[str] = field(default_factory=list)
    """What the user has to do."""


def plan_removal(
    record: Record, operations: Sequence[Operation], command: str, *, destroys: bool, force: bool = False
) -> RemovalPlan:
    """Return the plan that removes what *operations* made.

    Args:
        record: The project's record.
        operations: Some of its operations.
        command: The command line that is undone, or the one that destroys.
        destroys: What was there before the operations does not come back, and an undo of the removal is recorded.
        force: Edited files are removed too.

    Raises:
        CommandError: A file cannot be read, or has conflict markers.
    """
    return _Removal(record, operations, destroys=destroys, force=force).plan(command)


class _Removal:
    """The removal of some operations; one use."""

    def __init__(self, record: Record, operations: Sequence[Operation], *, destroys: bool, force: bool) -> None:
        self._record = record
        self._root = record.root
        self._operations = operations
        self._others = [other for other in record.generated if other not in operations and not other.partly_removed]
        self._version = recorded_version(record)
        self._destroys = destroys
        self._force = force
        self._before: dict[str, bytes | None] = {}
        self._after: dict[str, bytes | None] = {}
        self._restored: set[str] = set()
        self._twins: dict[str, None] = {}
        self._kept: list[FileChange] = []
        self._registrations: list[PlannedRegistration] = []

    def plan(self, command: str) -> RemovalPlan:
        """Return the whole plan."""
        remaining = self._remove_files()
        self._remove_empty_packages()
        needed, unneeded = self._split_requirements()
        if not self._destroys or len(self._operations) == 1:
            self._restore_edits(kept_requirements=bool(needed))
        self._unregister()
        self._remove_requirements(unneeded)
        changed = {path: data for path, data in self._after.items() if data != self._before[path]}
        plan = RemovalPlan(
            command,
            self._operations_after(command, remaining, needed, changed),
            files=[files.planned(path, self._before[path], data) for path, data in sorted(changed.items())],
            kept=self._kept,
            registrations=self._registrations,
        )
        plan.left_to_do = [*self._importers(changed), *self._mentions(changed)]
        if self._twins and not self._destroys:
            plan.notes.append(f"What `{'` and `'.join(self._twins)}` made stays; another `falconws undo` removes it.")
        if unneeded.dependencies:
            names = " and ".join(unneeded.dependencies)
            plan.notes.append(f"{names} is no longer a dependency of the project; pip has not uninstalled it.")
        if needed.dependencies:
            plan.notes.append(f"{' and '.join(needed.dependencies)} stays a dependency: other code needs it.")
        if not changed and remaining and all(operation.partly_removed for operation in self._operations):
            plan.operations = self._record.operations
            plan.left_to_do.append("Nothing else is left of it, and nothing was changed.")
        return plan

    def _read(self, path: str) -> bytes | None:
        if path not in self._before:
            self._before[path] = self._after[path] = files.read(self._root, path)
        return self._after[path]

    def _remove_files(self) -> dict[str, bytes]:
        """Remove the generated files; return those that stay, each with its base text."""
        remaining = {}
        for path in sorted({path for operation in self._operations for path in operation.files}):
            current = self._read(path)
            makers = [operation for operation in self._operations if path in operation.files]
            sharing = [other for other in self._others if path in other.files and self._may_share(other)]
            others = [other.files[path] for other in sharing]
            self._twins |= dict.fromkeys(other.command for other in sharing)
            if current is None or any(text in others for text in (unix(current), *(one.files[path] for one in makers))):
                continue
            earlier = makers[0].edits.get(path)
            if not self._force and not self._is_untouched(path, current, makers):
                # A file that was there with the same text before stays as it is.
                if earlier is None or earlier.before != makers[0].files[path] or self._destroys:
                    remaining[path] = makers[-1].files[path]
                    self._kept.append(files.kept(path, current, _EDITED))
            elif earlier is None or self._destroys or earlier.before is None:
                self._after[path] = with_newlines_of(current, others[-1]) if others else None
            else:
                self._after[path] = with_newlines_of(current, earlier.before)
                self._restored.add(path)
        return remaining

    def _is_untouched(self, path: str, current: bytes, makers: Sequence[Operation]) -> bool:
        """Return whether the file is as templates, registrations, or one of *makers* left it."""
        return (
            unix(current) in {unix(maker.files[path]) for maker in makers}
            or any(path in maker.edits and is_text(current, maker.edits[path].after) for maker in makers)
            or self._version.is_untouched(PurePosixPath(path), current)
        )

    def _remove_empty_packages(self) -> None:
        """Remove the empty `__init__.py`s that were added for files which go."""
        for path in sorted({path for operation in self._operations for path in operation.packages}, reverse=True):
            if self._read(path) != b"":
                continue
            folder = (self._root / path).parent
            gone = {str(self._root / other) for other, data in self._after.items() if data is None}
            others = [entry for entry in folder.iterdir() if entry.name not in ("__init__.py", "__pycache__")]
            if all(str(entry) in gone for entry in others):
                self._after[path] = None

    def _split_requirements(self) -> tuple[Requirements, Requirements]:
        """Return which of the added requirements are still needed, and which are not."""
        added = union(operation.added for operation in self._operations)
        if not added:
            return NOTHING, NOTHING
        modules = {module for operation in self._operations for module in operation.requirements.modules}
        going = [self._root / path for path, data in self._after.items() if data is None]
        needed = still_used(self._root, added, modules, (other.requirements for other in self._others), going)
        return needed, without(added, needed)

    def _restore_edits(self, *, kept_requirements: bool) -> None:
        """Restore the earlier text, byte for byte, of each file that was not edited since its operation."""
        (operation,) = self._operations
        kept = {made.path for made in operation.registrations if self._is_shared(made)}
        if kept_requirements:
            kept.add(PYPROJECT)
        for path, edit in operation.edits.items():
            if path in operation.files or path in kept or edit.before is None:
                continue
            current = self._read(path)
            if current is not None and is_text(current, edit.after):
                self._after[path] = with_newlines_of(current, edit.before)
                self._restored.add(path)

    def _unregister(self) -> None:
        seen: list[RecordedRegistration] = []
        for made in (made for operation in self._operations for made in operation.registrations):
            # What was registered before the command stays registered, and so does what other generated code shares. A
            # hub may be the user's own.
            was_there = made.outcome == "already registered" and (made.kind == "hub" or not self._destroys)
            if any(made.is_same(other) for other in seen) or was_there or self._is_shared(made):
                continue
            seen.append(made)
            self._unregister_one(made)

    def _unregister_one(self, made: RecordedRegistration) -> None:
        from falconws_cli.source.register.result import UnregisterOutcome, UnregisterResult
        from falconws_cli.source.registration import import_from

        current = self._read(made.path)
        if current is None:
            return
        if has_markers(current):
            raise CommandError(
                f"{made.path} has conflict markers of a merge, so {made.spec.what} cannot be removed from it; resolve "
                "them first. Nothing was written."
            )
        spec = made.spec
        added = [import_from(text) for text in made.imports]
        if made.path in self._restored:
            removal = spec.unregister(files.decoded(current), added)
            if made.outcome == REGISTERED and removal.outcome is UnregisterOutcome.REMOVED:
                # Another command had registered it before this one, and was removed meanwhile.
                self._after[made.path] = files.encoded(removal.text)
            else:
                was = spec.unregister(files.decoded(self._before[made.path] or b""), added)
                removal = UnregisterResult(was.what, UnregisterOutcome.REMOVED, files.decoded(current))
        else:
            # A registration from before the command, or one made by hand, may have an import of its own.
            known = added if made.outcome == REGISTERED else None
            removal = spec.unregister(files.decoded(current), known)
            self._after[made.path] = files.encoded(removal.text)
        self._registrations.append(PlannedRegistration(spec.path, removal, spec))

    def _is_shared(self, made: RecordedRegistration) -> bool:
        """Return whether something that stays needs the same registration."""
        others = [other for other in self._others if made.kind == "hub" or self._may_share(other)]
        return any(made.is_same(one) for other in others for one in other.registrations)

    def _may_share(self, other: Operation) -> bool:
        """Return whether what *other* has made as well stays.

        An undo leads back to the text from before, unless another branch has made the same: no file was there then.
        """
        return self._destroys or not any(
            path in operation.edits for operation in self._operations for path in operation.files.keys() & other.files
        )

    def _remove_requirements(self, unneeded: Requirements) -> None:
        if not unneeded or PYPROJECT in self._restored:
            return
        current = self._read(PYPROJECT)
        if current is not None:
            from falconws_cli.source.pyproject import remove_from_pyproject

            text = remove_from_pyproject(files.decoded(current), **pyproject_lists(unneeded))
            self._after[PYPROJECT] = files.encoded(text)

    def _importers(self, changed: Mapping[str, bytes | None]) -> list[str]:
        """Return a sentence for each line of the project that imports a removed module."""
        gone = [PurePosixPath(path) for path, data in changed.items() if data is None]
        texts = {self._root / path: data for path, data in changed.items()}
        return [
            f"{line.path.relative_to(self._root).as_posix()}:{line.number} still imports {line.module}, which is gone: "
            "edit it by hand."
            for line in importers(self._root, gone, texts, self._record.folders)
        ]

    def _mentions(self, changed: Mapping[str, bytes | None]) -> list[str]:
        """Return a sentence for each of the project's Markdown files that mentions a removed route."""
        routes = [
            str(planned.spec.arguments["template"]).partition("{")[0].rstrip("/")
            for planned in self._registrations
            if planned.spec is not None and planned.spec.kind == "route"
        ]
        sentences = []
        for file in sorted(self._root.glob("*.md")):
            lines = (changed.get(file.name) or files.read(self._root, file.name) or b"").decode(errors="replace")
            for route in filter(None, routes):
                mention = re.compile(rf"(?:^|[\s`\"'(]|:\d+){re.escape(route)}(?![\w/-])")
                number = next((n for n, line in enumerate(lines.splitlines(), 1) if mention.search(line)), None)
                if number is not None:
                    sentences.append(f"{file.name}:{number} still mentions {route}, which is gone: edit it by hand.")
        return sentences

    def _operations_after(
        self,
        command: str,
        remaining: Mapping[str, bytes],
        needed: Requirements,
        changed: Mapping[str, bytes | None],
    ) -> list[Operation]:
        """Return what is recorded afterwards."""
        new: dict[str, Operation] = {}
        last = self._operations[-1]
        if remaining:
            left = Operation(last.id, last.command, last.version, last.recipe, remaining, partly_removed=True)
            new[last.id] = left
        heir = next((other for other in self._others if common(other.requirements, needed)), None)
        if heir is not None:
            # A dependency that other generated code needs too is removed with the last of it.
            shared = common(heir.requirements, needed)
            new[heir.id] = replace(heir, added=union((heir.added, shared)))
        self._hand_over_registrations(new)
        self._hand_over_packages(new)
        gone = {operation.id for operation in self._operations} - new.keys()
        after = [new.get(other.id, other) for other in self._record.operations if other.id not in gone]
        if self._destroys:
            after.append(self._destroy(command, changed))
        return after

    def _hand_over_registrations(self, new: dict[str, Operation]) -> None:
        """Transfer shared registrations to the next operation that needs them."""
        for made in (made for operation in self._operations for made in operation.registrations):
            if made.outcome != REGISTERED or not self._is_shared(made):
                continue
            for other in self._others:
                heir = new.get(other.id, other)
                if any(made.is_same(one) for one in heir.registrations):
                    registrations = tuple(made if made.is_same(one) else one for one in heir.registrations)
                    new[heir.id] = replace(heir, registrations=registrations)
                    break

    def _hand_over_packages(self, new: dict[str, Operation]) -> None:
        """Transfer added packages to the next operation that has files in them."""
        for path in (path for operation in self._operations for path in operation.packages):
            folder = PurePosixPath(path).parent
            for other in self._others if self._after.get(path) is not None else ():
                if any(folder in PurePosixPath(file).parents for file in other.files):
                    heir = new.get(other.id, other)
                    new[heir.id] = replace(heir, packages=tuple(sorted({*heir.packages, path})))
                    break

    def _destroy(self, command: str, changed: Mapping[str, bytes | None]) -> Operation:
        """Return the operation that an undo of the removal needs."""
        gone = {path: self._before[path] or b"" for path, data in changed.items() if data is None}
        edits = {path: (self._before[path] or b"", data) for path, data in changed.items() if data is not None}
        return Operation(
            id=self._record.next_id(),
            command=command,
            version=VERSION,
            files={path: data for path, data in gone.items() if len(data) <= MAX_TEXT_BYTES},
            edits={path: recorded_edit(before, after) for path, (before, after) in edits.items()},
            destroyed=tuple(self._operations),
        )
