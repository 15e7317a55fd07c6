"""Plans the undo of a `falconws destroy`: its files, its edits, and the operations that it removed. Plans only."""

from falconws_cli.change import changes as files
from falconws_cli.change.operation import Operation, RecordedRegistration
from falconws_cli.change.plan import PlannedRegistration, Requirements, pyproject_lists
from falconws_cli.change.record import is_text, with_newlines_of
from falconws_cli.lifecycle.moves import Located
from falconws_cli.lifecycle.removal import RemovalPlan
from falconws_cli.lifecycle.rendered import PYPROJECT


def plan_restore(located: Located, destroy: Operation, *, force: bool) -> RemovalPlan:
    """Return the plan that brings back what a `falconws destroy` removed.

    Raises:
        CommandError: A file cannot be read.
    """
    return _Restore(located, destroy, force=force).plan()


class _Restore:
    """The undo of one `destroy`; one use."""

    def __init__(self, located: Located, destroy: Operation, *, force: bool) -> None:
        self._record = located.record
        self._destroy = destroy
        self._force = force
        self._destroyed = [located.since(one.id).operation(one) for one in destroy.destroyed]
        again = {operation.id for operation in (destroy, *destroy.destroyed)}
        others = [operation for operation in located.record.operations if operation.id not in again]
        self._plan = RemovalPlan(destroy.command, others, restored=destroy.destroyed)
        self._restored: set[str] = set()
        self._edited: dict[str, tuple[bytes, bytes]] = {}

    def plan(self) -> RemovalPlan:
        """Return the whole plan."""
        for path, text in sorted(self._destroy.files.items()):
            self._restore_file(path, text)
        self._restore_edits()
        seen: list[RecordedRegistration] = []
        for operation in self._destroyed:
            for made in operation.registrations:
                if not any(made.is_same(other) for other in seen):
                    seen.append(made)
                    self._register(made)
            if operation.added and PYPROJECT not in self._restored:
                current = files.read(self._record.root, PYPROJECT) or b""
                before, text = self._edited.get(PYPROJECT, (current, current))
                self._edited[PYPROJECT] = (before, _with_requirements(text, operation.added))
        self._plan.files += [
            files.planned(path, before, after)
            for path, (before, after) in sorted(self._edited.items())
            if before != after
        ]
        return self._plan

    def _restore_file(self, path: str, text: bytes) -> None:
        current = files.read(self._record.root, path)
        if current is not None and current != text and not self._force:
            note = "another file is there now; --force overwrites it"
            self._plan.kept.append(files.kept(path, current, note))
        else:
            self._plan.files.append(files.planned(path, current, text))

    def _restore_edits(self) -> None:
        """Give each file that is as the `destroy` left it the text from before, byte for byte."""
        for path, edit in self._destroy.edits.items():
            current = files.read(self._record.root, path)
            if current is not None and edit.before is not None and is_text(current, edit.after):
                self._restored.add(path)
                self._edited[path] = (current, with_newlines_of(current, edit.before))

    def _register(self, made: RecordedRegistration) -> None:
        """Register again in a file that has changed since."""
        from falconws_cli.source.register.result import RegisterOutcome

        current = files.read(self._record.root, made.path)
        if current is None:
            return
        before, text = self._edited.get(made.path, (current, current))
        spec = made.spec
        registration = spec.register(files.decoded(before if made.path in self._restored else text))
        if made.path not in self._restored and registration.outcome is RegisterOutcome.REGISTERED:
            self._edited[made.path] = (before, files.encoded(registration.text))
        self._plan.registrations.append(PlannedRegistration(spec.path, registration, spec))


def _with_requirements(text: bytes, added: Requirements) -> bytes:
    from falconws_cli.source.pyproject import edit_pyproject

    return files.encoded(edit_pyproject(files.decoded(text), **pyproject_lists(added)))
