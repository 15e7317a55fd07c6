"""What bringing a project to the installed templates means: recorded recipes rendered again, merged file by file.

What was registered and required is put into both the old and the new text before they are compared, so that it never
stands in the way of a merge: what is left to merge is what the user changed, and what the templates changed.
Reads, and never writes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath

from falconws_cli import VERSION
from falconws_cli.change.changes import FileChange
from falconws_cli.change.manifest import Manifest, Operation, RecordedRegistration
from falconws_cli.change.merge import CannotMergeError, Labels, has_markers, three_way
from falconws_cli.change.plan import Generated, PlannedFile, Recipe, Requirements
from falconws_cli.change.record import Record, sha256
from falconws_cli.change.writer import Status
from falconws_cli.errors import CommandError, UnavailableError
from falconws_cli.generators import find_generator, render
from falconws_cli.generators.planning import PYPROJECT
from falconws_cli.generators.plugins import BUILT_IN
from falconws_cli.project import Project
from falconws_cli.source.pyproject import distribution_of, edit_pyproject
from falconws_cli.source.register import RegisterOutcome
from falconws_cli.source.registration import RegistrationSpec


@dataclass(frozen=True)
class Upgrade:
    """What becomes of the files, and what the project remembers afterwards."""

    changes: tuple[FileChange, ...]
    """One for each path that the templates make differently now; nothing for the others."""
    manifest: Manifest
    texts: tuple[bytes, ...]
    """The texts that the manifest names."""
    available: bool
    """Whether the installed templates make anything else than what is remembered."""
    conflicts: int
    """How many places have conflict markers, in all files."""
    left_out: tuple[str, ...]
    """A sentence for each command that the installed generators cannot repeat; what it made is left as it was."""


@dataclass(frozen=True)
class RenderedVersion:
    """What one version of the templates makes of all recipes."""

    operations: tuple[Operation, ...]
    texts: Mapping[PurePosixPath, bytes]
    """What they make, without anything that is registered or required since."""

    def with_registrations(self, path: PurePosixPath) -> bytes | None:
        """Return the file with everything registered in it and required by it, as the commands left it behind."""
        data = self.texts.get(path)
        try:
            text = None if data is None else data.decode()
        except UnicodeDecodeError:
            return data
        if text is None:
            return None
        for operation in self.operations:
            for made in operation.registrations:
                if PurePosixPath(made.path) == path and made.outcome == RegisterOutcome.REGISTERED.value:
                    text = made.spec.register(text).text
            if path == PYPROJECT and operation.added:
                text = edit_pyproject(text, **_without_modules(operation.added))
        return text.encode()

    def left(self, paths: Iterable[PurePosixPath]) -> dict[str, str]:
        """Return, for those of *paths* that more than templates made, the text that the commands leave behind."""
        with_registrations = {path: self.with_registrations(path) for path in paths}
        return {
            str(path): sha256(data)
            for path, data in with_registrations.items()
            if data is not None and data != self.texts[path]
        }


def plan_upgrade(project: Project, record: Record) -> Upgrade:
    """Return what bringing *project* to the installed templates means.

    Raises:
        CommandError: A template cannot be rendered, or a file or a remembered text cannot be read.
    """
    old = record.manifest.operations
    current = [i for i, operation in enumerate(old) if not operation.partly_removed]
    generated, left_out = _rendered_pieces(project, {i: old[i] for i in current})
    new = tuple(_rendered(operation, generated[i]) if i in generated else operation for i, operation in enumerate(old))
    before = RenderedVersion(tuple(old[i] for i in current), _remembered(record, [old[i] for i in current]))
    made: dict[PurePosixPath, bytes] = {}
    for i in current:
        made |= {f.path: f.data for f in generated[i].files} if i in generated else _remembered(record, [old[i]])
    after = RenderedVersion(tuple(new[i] for i in current), made)
    labels = Labels("yours", f"falconws {_versions(before.operations)}", f"falconws {VERSION}")
    modes = {file.path: file.mode for generated in generated.values() for file in generated.files}
    found = [
        merge_file(
            project,
            path,
            before.with_registrations(path),
            after.with_registrations(path),
            labels,
            modes.get(path, 0o644),
        )
        for path in sorted(before.texts.keys() | after.texts.keys())
    ]
    texts = tuple(file.data for generated in generated.values() for file in generated.files)
    changes = tuple(change for merged in found for change in merged.changes)
    left = {**record.manifest.left, **after.left(change.file.path for change in changes)}
    conflicts = sum(merged.conflicts for merged in found)
    available = any(merged.differs for merged in found)
    # What was destroyed was made by other templates, and was taken from other texts.
    manifest = Manifest(new, None if available else record.manifest.destroyed, left)
    return Upgrade(changes, manifest, texts, available, conflicts, left_out)


def _rendered_pieces(
    project: Project, operations: Mapping[int, Operation]
) -> tuple[dict[int, Generated], tuple[str, ...]]:
    """Return what the installed templates make of each operation, and a sentence for each that they cannot repeat."""
    generated, left_out = {}, []
    for i, operation in operations.items():
        try:
            generated[i] = regenerate(project, operation.recipe)
        except CommandError as error:
            # Whatever is wrong with a generator of another package.
            if operation.recipe.generator in BUILT_IN and not isinstance(error, UnavailableError):
                raise
            why = error.message.removesuffix(" Nothing was written.")
            left_out.append(f"What `{operation.command}` made is left as it was: {why}")
    return generated, tuple(left_out)


def regenerate(project: Project, recipe: Recipe) -> Generated:
    """Return what the installed templates make of a recorded recipe.

    Raises:
        CommandError: There is no such generator any more, or something that it needs.
    """
    if recipe.generator == "project":
        return Generated(render(project, recipe))
    return find_generator(recipe.generator, recipe.package).make(project, recipe)


@dataclass(frozen=True)
class MergedFile:
    """What becomes of one path, and of one beside it where both versions cannot be in one file."""

    differs: bool
    changes: tuple[FileChange, ...] = ()
    conflicts: int = 0


def merge_file(
    project: Project, path: PurePosixPath, base: bytes | None, theirs: bytes | None, labels: Labels, mode: int
) -> MergedFile:
    """Return what becomes of one path.

    Args:
        project: Where the file is.
        path: Where, from its root.
        base: What the templates made before, None for nothing.
        theirs: What they make now, None for nothing.
        labels: What conflict markers call the versions.
        mode: The permissions of a new file.

    Raises:
        CommandError: The file cannot be read.
    """
    if base == theirs:
        return MergedFile(differs=False)
    ours = project.read(path)
    if theirs is None:
        assert base is not None
        return MergedFile(True, tuple(_gone(path, base, ours)))
    planned = PlannedFile(path, theirs, mode, before=ours)
    if ours is None:
        if base is None:
            return MergedFile(True, (FileChange(planned, Status.CREATE),))
        return MergedFile(True, (FileChange(planned, Status.SKIP, note="you removed it"),))
    if base is None:
        if ours == theirs:
            return MergedFile(True, (FileChange(planned, Status.IDENTICAL, ours),))
        note = "new in the templates; yours, which was there first, is kept"
        return MergedFile(True, (FileChange(planned, Status.SKIP, ours, note),))
    if has_markers(ours):
        raise CommandError(f"{path} has conflict markers of an earlier merge; settle them first. Nothing was written.")
    try:
        merged = three_way(base, ours, theirs, labels)
    except CannotMergeError as error:
        beside = path.with_name(path.name + ".new")
        current = project.read(beside)
        new = PlannedFile(beside, theirs, mode, before=current)
        status = Status.CREATE if current is None else Status.IDENTICAL if current == theirs else Status.UPDATE
        note = f"not merged: {error}; compare it with {beside.name}"
        return MergedFile(
            True, (FileChange(planned, Status.SKIP, ours, note, left_to_do=True), FileChange(new, status, current))
        )
    if merged.data == ours:
        return MergedFile(True, (FileChange(planned, Status.IDENTICAL, ours, "has it already"),))
    places = f"{merged.conflicts} conflict{'s' if merged.conflicts > 1 else ''}"
    edited = not _alike(base, ours)
    note = f"merged, with {places} to settle" if merged.conflicts else "merged" if edited else ""
    change = FileChange(
        replace(planned, data=merged.data), Status.UPDATE, ours, note, left_to_do=bool(merged.conflicts)
    )
    return MergedFile(True, (change,), merged.conflicts)


def _gone(path: PurePosixPath, base: bytes, ours: bytes | None) -> Iterator[FileChange]:
    if ours is None:
        return
    planned = PlannedFile(path, b"", before=ours, delete=True)
    if _alike(base, ours):
        yield FileChange(planned, Status.DELETE, ours, "the templates no longer make it")
    else:
        yield FileChange(planned, Status.SKIP, ours, "the templates no longer make it; it is edited, and yours now")


def _alike(base: bytes, ours: bytes) -> bool:
    return base.replace(b"\r\n", b"\n") == ours.replace(b"\r\n", b"\n")


def _rendered(operation: Operation, generated: Generated) -> Operation:
    """Return what shall be remembered of an operation when the templates make *generated* of it."""
    known = {(made.kind, made.path, _key(made)): made for made in operation.registrations}
    made = []
    for spec in generated.registrations:
        new = recorded(spec)
        made.append(known.get((new.kind, new.path, _key(new)), new))
    return replace(
        operation,
        version=VERSION,
        files={str(file.path): sha256(file.data) for file in generated.files},
        registrations=tuple(made),
        requirements=generated.requirements,
        added=_added(operation, generated.requirements),
    )


def recorded(spec: RegistrationSpec) -> RecordedRegistration:
    """Return what shall be remembered of a registration that is in its file, with the imports that it brought along."""
    arguments = spec.arguments
    one = [str(arguments[name]) for name in ("resource", "middleware", "handler") if name in arguments]
    several = arguments.get("imports", [])
    imports = (*one, *map(str, several if isinstance(several, list) else []))
    outcome = RegisterOutcome.REGISTERED.value
    return RecordedRegistration(spec.kind, str(spec.path), spec.package, spec.arguments, outcome, imports)


def _key(made: RecordedRegistration) -> str:
    return repr(sorted(made.arguments.items()))


def _added(operation: Operation, wanted: Requirements) -> Requirements:
    """Return what of *wanted* the project has through this operation, and not through its user."""
    added = {}
    for field in fields(wanted):
        ours = {distribution_of(value) for value in getattr(operation.added, field.name)}
        had = {distribution_of(value) for value in getattr(operation.requirements, field.name)}
        values = getattr(wanted, field.name)
        added[field.name] = tuple(v for v in values if distribution_of(v) in ours or distribution_of(v) not in had)
    return Requirements(**added)


def _without_modules(requirements: Requirements) -> dict[str, tuple[str, ...]]:
    return {name: values for name, values in vars(requirements).items() if name != "modules"}


def _remembered(record: Record, operations: Iterable[Operation]) -> dict[PurePosixPath, bytes]:
    return {
        PurePosixPath(path): record.require_text(key)
        for operation in operations
        for path, key in operation.files.items()
    }


def _versions(operations: Iterable[Operation]) -> str:
    return " and ".join(sorted({operation.version for operation in operations}))


def require_operations(record: Record) -> None:
    """Make sure that there is something to upgrade.

    Raises:
        CommandError: The project remembers nothing; the message says what to do.
    """
    if not record.manifest.operations:
        raise CommandError(
            "There is nothing to upgrade: the project has no record of what was generated "
            "(.falconws/manifest.json is missing)."
        )
