"""Plans an upgrade to the installed templates: recorded recipes are rendered again and merged file by file.

Registrations and requirements are added to both the old and the new text before the merge, so that they never conflict:
what is left to merge is what the user changed and what the templates changed. Reads files and never writes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath

from falconws_cli import VERSION
from falconws_cli.change.changes import FileChange
from falconws_cli.change.merge import CannotMergeError, Labels, has_markers, three_way
from falconws_cli.change.operation import Operation, RecordedRegistration
from falconws_cli.change.plan import Generated, PlannedFile, Recipe, Requirements
from falconws_cli.change.record import OPERATIONS, Record
from falconws_cli.change.writer import Status
from falconws_cli.entry_points import BUILT_IN
from falconws_cli.errors import CommandError, UnavailableError
from falconws_cli.generators import make_again
from falconws_cli.lifecycle.moves import Moves, locate
from falconws_cli.lifecycle.rendered import REGISTERED, RenderedVersion
from falconws_cli.project import Project
from falconws_cli.source.pyproject import distribution_of
from falconws_cli.source.registration import RegistrationSpec


@dataclass(frozen=True)
class Upgrade:
    """The changes of the files, and what is recorded afterwards."""

    changes: tuple[FileChange, ...]
    """One for each path that the installed templates render differently."""
    operations: Sequence[Operation]
    available: bool
    """Whether the installed templates render anything differently."""
    conflicts: int
    """The number of places with conflict markers, in all files."""
    left_out: tuple[str, ...]
    """A sentence for each command that cannot be repeated; what it made stays as it is."""


def plan_upgrade(project: Project, record: Record) -> Upgrade:
    """Return the plan that upgrades *project* to the installed templates.

    Raises:
        CommandError: A template cannot be rendered, or a file cannot be read.
    """
    located = locate(record)
    old = [operation for operation in record.generated if not operation.partly_removed]
    moves = {operation.id: located.since(operation.id) for operation in old}
    generated, left_out = _make_all_again(project, old, moves)
    new = [
        _upgraded(one, _own_part(one, old[index + 1 :], generated[one.id])) if one.id in generated else one
        for index, one in enumerate(old)
    ]
    before, after = (_version([moves[one.id].operation(one) for one in version]) for version in (old, new))
    labels = Labels("yours", f"falconws {_versions(old)}", f"falconws {VERSION}")
    modes = {
        PurePosixPath(moves[name].path(str(file.path))): file.mode
        for name, made in generated.items()
        for file in made.files
    }
    merged = [
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
    available = any(file.differs for file in merged)
    of_the_user = {str(change.file.path) for file in merged if not file.differs for change in file.changes}
    by_id = {one.id: _without_files(one, of_the_user, moves[one.id]) for one in new}
    # The undo of an earlier `destroy` would bring back the text of older templates.
    kept = [one for one in record.operations if one.is_generated or one.moves or not available]
    return Upgrade(
        changes=tuple(change for file in merged for change in file.changes) if available else (),
        # A project that is up to date is not written to, not even for the version in its record.
        operations=[by_id.get(operation.id, operation) for operation in kept] if available else record.operations,
        available=available,
        conflicts=sum(file.conflicts for file in merged),
        left_out=(*left_out, *record.damaged),
    )


def _without_files(operation: Operation, paths: Collection[str], moves: Moves) -> Operation:
    """Return the operation without the files that are at *paths* now."""
    files = {path: text for path, text in operation.files.items() if moves.path(path) not in paths}
    return replace(operation, files=files)


def _version(operations: Sequence[Operation]) -> RenderedVersion:
    texts = {PurePosixPath(path): text for operation in operations for path, text in operation.files.items()}
    return RenderedVersion(operations, texts)


def _make_all_again(
    project: Project, operations: Iterable[Operation], moves: Mapping[str, Moves]
) -> tuple[dict[str, Generated], tuple[str, ...]]:
    """Return what the installed templates make of each operation, and a sentence for each that cannot be repeated."""
    generated, left_out = {}, []
    for operation in operations:
        assert operation.recipe is not None
        try:
            generated[operation.id] = _make_moved(project, operation.recipe, moves[operation.id])
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            why = f"its recorded options cannot be used ({error})."
            left_out.append(f"What `{operation.command}` made is left unchanged: {why}")
        except CommandError as error:
            # An error of a generator of another package, or a missing compiler, does not stop the upgrade.
            if operation.recipe.generator in BUILT_IN and not isinstance(error, UnavailableError):
                raise
            why = error.message.removesuffix(" Nothing was written.")
            left_out.append(f"What `{operation.command}` made is left unchanged: {why}")
    return generated, tuple(left_out)


@dataclass(frozen=True, kw_only=True)
class _EarlierProject(Project):
    """The project as it was laid out before something was moved."""

    earlier_path: PurePosixPath
    moves: Moves

    @property
    def package(self) -> str:
        # Only the last part of a namespace package can have been renamed.
        return ".".join([*super().package.split(".")[:-1], self.earlier_path.name])

    @property
    def package_path(self) -> PurePosixPath:
        return self.earlier_path

    def read(self, path: PurePosixPath) -> bytes | None:
        return super().read(PurePosixPath(self.moves.path(str(path))))

    def exists(self, path: PurePosixPath) -> bool:
        return super().exists(PurePosixPath(self.moves.path(str(path))))


def _make_moved(project: Project, recipe: Recipe, moves: Moves) -> Generated:
    """Return what the installed templates make of a recorded recipe, where its operation made it."""
    if not moves.places:
        return make_again(project, recipe)
    path = project.package_path
    earlier = next((old for old in moves.places if moves.path(old) == str(path)), str(path))
    earlier_project = _EarlierProject(
        project.root, project.app, project.folders, earlier_path=PurePosixPath(earlier), moves=moves
    )
    return make_again(earlier_project, recipe)


@dataclass(frozen=True)
class MergedFile:
    """The changes of one path, and of the file beside it if the versions cannot be merged."""

    differs: bool
    changes: tuple[FileChange, ...] = ()
    conflicts: int = 0


def merge_file(
    project: Project, path: PurePosixPath, base: bytes | None, theirs: bytes | None, labels: Labels, mode: int
) -> MergedFile:
    """Return the changes of one path.

    Args:
        project: The project.
        path: The file.
        base: What the templates made before, None for no file.
        theirs: What they make now, None for no file.
        labels: The names of the versions in conflict markers.
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
        # A file of the user, such as a README from before the project; not a reason for an upgrade.
        note = "new in the templates; your file was there first, and is kept"
        return MergedFile(False, (FileChange(planned, Status.SKIP, ours, note),))
    if has_markers(ours):
        raise CommandError(f"{path} has conflict markers of an earlier merge; resolve them first. Nothing was written.")
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
    note = f"merged, with {places} to resolve" if merged.conflicts else "merged" if edited else ""
    change = FileChange(
        replace(planned, data=merged.data), Status.UPDATE, ours, note, left_to_do=bool(merged.conflicts)
    )
    return MergedFile(True, (change,), merged.conflicts)


def _gone(path: PurePosixPath, base: bytes, ours: bytes | None) -> Iterator[FileChange]:
    if ours is None:
        return
    planned = PlannedFile(path, b"", before=ours, delete=True)
    if _alike(base, ours):
        yield FileChange(planned, Status.DELETE, ours, "the templates no longer have it")
    else:
        yield FileChange(planned, Status.SKIP, ours, "the templates no longer have it; you have edited it, so it stays")


def _alike(base: bytes, ours: bytes) -> bool:
    return base.replace(b"\r\n", b"\n") == ours.replace(b"\r\n", b"\n")


def _own_part(operation: Operation, later: Iterable[Operation], generated: Generated) -> Generated:
    """Return what is made again for the operation: what it made before, where a later one has repeated its recipe."""
    if all(one.recipe != operation.recipe for one in later):
        return generated
    return replace(generated, files=tuple(file for file in generated.files if str(file.path) in operation.files))


def _upgraded(operation: Operation, generated: Generated) -> Operation:
    """Return the operation with what the installed templates make of it."""
    new = [_as_registered(spec) for spec in generated.registrations]
    known = {_key(made): made for made in operation.registrations}
    return replace(
        operation,
        files={str(file.path): file.data for file in generated.files},
        registrations=tuple(known.get(_key(made), made) for made in new),
        requirements=generated.requirements,
        added=_added(operation, generated.requirements),
        version=VERSION,
        upgraded=VERSION,
    )


def _as_registered(spec: RegistrationSpec) -> RecordedRegistration:
    """Return the record of a registration that is in its file, with its imports."""
    arguments = spec.arguments
    one = [str(arguments[name]) for name in ("resource", "middleware", "handler") if name in arguments]
    several = arguments.get("imports", [])
    imports = (*one, *map(str, several if isinstance(several, list) else []))
    return RecordedRegistration(spec.kind, str(spec.path), spec.package, spec.arguments, REGISTERED, imports)


def _key(made: RecordedRegistration) -> tuple[str, str, str]:
    return made.kind, made.path, repr(sorted(made.arguments.items()))


def _added(operation: Operation, wanted: Requirements) -> Requirements:
    """Return the requirements of *wanted* that this operation adds, and not the user."""
    added = {}
    for field in fields(wanted):
        ours = {distribution_of(value) for value in getattr(operation.added, field.name)}
        had = {distribution_of(value) for value in getattr(operation.requirements, field.name)}
        values = getattr(wanted, field.name)
        added[field.name] = tuple(v for v in values if distribution_of(v) in ours or distribution_of(v) not in had)
    return Requirements(**added)


def _versions(operations: Iterable[Operation]) -> str:
    return " and ".join(sorted({operation.version for operation in operations}))


def require_operations(record: Record) -> None:
    """Make sure that something is recorded.

    Raises:
        CommandError: Nothing is recorded.
    """
    if not record.operations:
        why = record.damaged[0] if record.damaged else f"{OPERATIONS}/ is missing or empty."
        raise CommandError(f"There is nothing to upgrade: the project has no record of what was generated. {why}")
