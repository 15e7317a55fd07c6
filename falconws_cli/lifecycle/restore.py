"""Undoing a `falconws destroy`: its files, its edits, and what the project remembered before. Plans only."""

from falconws_cli.change import changes as tracked
from falconws_cli.change.manifest import Destroyed, Manifest, Operation, RecordedRegistration, load_manifest
from falconws_cli.change.plan import PlannedRegistration, Requirements, pyproject_lists
from falconws_cli.change.record import MANIFEST, Record, is_text, sha256, unix, with_newlines_of
from falconws_cli.lifecycle.removal import PYPROJECT, RemovalPlan


def plan_restore(record: Record, destroyed: Destroyed, *, force: bool) -> RemovalPlan:
    """Return what brings back what a `falconws destroy` took away.

    Raises:
        CommandError: A file cannot be read, or a text that is needed is lost.
    """
    manifest = load_manifest(record.require_text(destroyed.manifest), str(MANIFEST))
    back = RemovalPlan(destroyed.command, manifest)
    for path, key in sorted(destroyed.files.items()):
        current = tracked.read(record.root, path)
        text = record.require_text(key)
        if current is not None and current != text and not force:
            back.kept.append(tracked.kept(path, current, "another file is there now; --force overwrites it"))
        else:
            back.files.append(tracked.planned(path, current, text))
    restored = set()
    edited: dict[str, tuple[bytes, bytes]] = {}
    for path, edit in destroyed.edits.items():
        current = tracked.read(record.root, path)
        if current is not None and is_text(current, edit.after):
            restored.add(path)
            edited[path] = (current, with_newlines_of(current, record.require_text(edit.before)))
    for operation in _returning(record.manifest, manifest):
        for made in operation.registrations:
            back.registrations += _again(record, made, edited, restored)
        if operation.added and str(PYPROJECT) not in restored:
            current = tracked.read(record.root, str(PYPROJECT)) or b""
            before, text = edited.get(str(PYPROJECT), (current, current))
            edited[str(PYPROJECT)] = (before, _with_requirements(text, operation.added))
    back.files += [
        tracked.planned(path, before, after) for path, (before, after) in sorted(edited.items()) if before != after
    ]
    changed = ((path, sha256(unix(before)), sha256(unix(after))) for path, (before, after) in edited.items())
    back.manifest = manifest.leaving(record.manifest, changed)
    return back


def _again(
    record: Record, made: RecordedRegistration, edited: dict[str, tuple[bytes, bytes]], restored: set[str]
) -> list[PlannedRegistration]:
    """Register once more what was taken out of a file that has changed since."""
    from falconws_cli.source.register import RegisterOutcome

    current = tracked.read(record.root, made.path)
    if current is None:
        return []
    before, text = edited.get(made.path, (current, current))
    spec = made.spec
    source = before if made.path in restored else text
    registration = spec.register(tracked.decoded(source))
    if made.path not in restored and registration.outcome is RegisterOutcome.REGISTERED:
        edited[made.path] = (before, tracked.encoded(registration.text))
    return [PlannedRegistration(spec.path, registration, spec)]


def _returning(now: Manifest, then: Manifest) -> list[Operation]:
    return [operation for operation in then.operations if operation not in now.operations]


def _with_requirements(text: bytes, added: Requirements) -> bytes:
    from falconws_cli.source.pyproject import edit_pyproject

    return tracked.encoded(edit_pyproject(tracked.decoded(text), **pyproject_lists(added)))
