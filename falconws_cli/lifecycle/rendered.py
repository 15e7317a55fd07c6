"""What one version of the templates makes, with everything that commands have registered since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from falconws_cli.change.changes import decoded
from falconws_cli.change.plan import pyproject_lists
from falconws_cli.change.record import unix

if TYPE_CHECKING:
    from falconws_cli.change.operation import Operation
    from falconws_cli.change.record import Record

PYPROJECT = "pyproject.toml"
REGISTERED = "registered"


@dataclass(frozen=True)
class RenderedVersion:
    """The files of some operations, as one version of the templates makes them."""

    operations: Sequence[Operation]
    texts: Mapping[PurePosixPath, bytes]
    """What the templates make, without registrations and requirements."""

    def with_registrations(self, path: PurePosixPath) -> bytes | None:
        """Return the file with everything that was registered in it and required by it, in the order of operations."""
        data = self.texts.get(path)
        if data is None or not self._is_edited_by_commands(str(path)):
            return data
        text = decoded(data)
        for operation in self.operations:
            for made in operation.registrations:
                if made.path == str(path) and made.outcome == REGISTERED:
                    text = made.spec.register(text).text
            if str(path) == PYPROJECT and operation.added:
                from falconws_cli.source.pyproject import edit_pyproject

                text = edit_pyproject(text, **pyproject_lists(operation.added))
        return text.encode(errors="surrogateescape")

    def is_untouched(self, path: PurePosixPath, data: bytes) -> bool:
        """Return whether *data* is what templates and registrations make of the file, in whatever order those came."""
        base = self.texts.get(path)
        if base is None:
            return False
        text = unix(data)
        if text in (base, unix(base)):
            return not self._is_edited_by_commands(str(path)) or text == self.with_registrations(path)
        if not self._is_edited_by_commands(str(path)):
            return False
        return text == self.with_registrations(path) or self._without_registrations(path, decoded(text)) == base

    def _is_edited_by_commands(self, path: str) -> bool:
        return any(
            (path == PYPROJECT and operation.added)
            or any(made.path == path and made.outcome == REGISTERED for made in operation.registrations)
            for operation in self.operations
        )

    def _without_registrations(self, path: PurePosixPath, text: str) -> bytes | None:
        """Return the file without what was registered; None where a registration is not there."""
        from falconws_cli.source.register.result import RegisterOutcome
        from falconws_cli.source.registration import import_from

        for operation in reversed(self.operations):
            for made in reversed(operation.registrations):
                if made.path == str(path) and made.outcome == REGISTERED:
                    spec = made.spec
                    if spec.register(text).outcome is not RegisterOutcome.ALREADY:
                        return None
                    text = spec.unregister(text, [import_from(one) for one in made.imports]).text
            if str(path) == PYPROJECT and operation.added:
                from falconws_cli.source.pyproject import edit_pyproject, remove_from_pyproject

                lists = pyproject_lists(operation.added)
                if edit_pyproject(text, **lists) != text:
                    return None
                text = remove_from_pyproject(text, **lists)
        return text.encode(errors="surrogateescape")


def recorded_version(record: Record) -> RenderedVersion:
    """Return what the recorded operations made."""
    texts = {PurePosixPath(path): text for operation in record.generated for path, text in operation.files.items()}
    return RenderedVersion(record.generated, texts)
