"""Registrations of code that is not there, because the file that was in its place is kept. Plans only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from falconws_cli.change.changes import FileChange, decoded, encoded, preview
from falconws_cli.change.plan import Plan, PlannedFile, PlannedRegistration, stacked
from falconws_cli.change.writer import Status

_IMPORTED = ("resource", "middleware", "handler")
"""The arguments of a registration that are imports of generated code, as "module:name"."""


def without_missing(
    root: Path, plans: Sequence[Plan], changes: Sequence[FileChange]
) -> tuple[list[Plan], list[FileChange], list[PlannedRegistration]]:
    """Return *plans* and *changes* without registrations of what a kept file does not define; and those registrations.

    Args:
        root: The folder that the paths are relative to.
        plans: The plans of one command.
        changes: Their changes, with a decision for each conflict.
    """
    kept = {change.file.path: change.current or b"" for change in changes if change.status is Status.SKIP}
    revised, missing = [], []
    for plan in plans:
        plan, lacking = _revise(plan, {path: text for path, text in kept.items() if path in plan.generated})
        revised.append(plan)
        missing += lacking
    if not missing:
        return list(plans), list(changes), []
    before = {file.path: file for file in stacked(plans)}
    after = {file.path: file for file in stacked(revised)}
    # A file that was merged, or is overwritten, is no longer what was planned.
    settled = [
        preview(root, [after[path]])[0] if change.file == before.get(path) != after[path] else change
        for change, path in ((change, change.file.path) for change in changes)
    ]
    return revised, settled, missing


def _revise(plan: Plan, kept: Mapping[PurePosixPath, bytes]) -> tuple[Plan, list[PlannedRegistration]]:
    """Return the plan without the registrations of what the *kept* files do not define; and those."""
    reasons = [_missing(planned, kept) for planned in plan.registrations]
    if not any(reasons):
        return plan, []
    from falconws_cli.source.register.result import RegisterOutcome

    files = {file.path: file for file in plan.files}
    places = {planned.path for planned, reason in zip(plan.registrations, reasons, strict=True) if reason}
    texts = {path: decoded(files[path].before or b"") for path in places if path in files}
    registrations, missing = [], []
    for planned, reason in zip(plan.registrations, reasons, strict=True):
        if planned.path not in texts or planned.spec is None:
            registrations.append(planned)
            continue
        text = texts[planned.path]
        result = planned.spec.register(text)
        if reason:
            result = replace(result, outcome=RegisterOutcome.CANNOT, text=text, reason=reason)
        texts[planned.path] = result.text
        registrations.append(replace(planned, registration=result))
        if reason:
            missing.append(registrations[-1])
    edited: list[PlannedFile] = [
        replace(file, data=encoded(texts[file.path])) if file.path in texts else file for file in plan.files
    ]
    return replace(plan, files=tuple(edited), registrations=tuple(registrations)), missing


def _missing(planned: PlannedRegistration, kept: Mapping[PurePosixPath, bytes]) -> str:
    """Return why what is registered is not there; "" if it is, or if it was registered before."""
    from falconws_cli.source.python import CannotEditError, Source

    if planned.spec is None or planned.registration.outcome.name != "REGISTERED":
        return ""
    for argument in _IMPORTED:
        module, _, name = str(planned.spec.arguments.get(argument, "")).partition(":")
        stem = module.rpartition(".")[2]
        for path, text in kept.items():
            if path.suffix != ".py" or path.stem != stem:
                continue
            try:
                defines = Source(decoded(text), "").binds(name)
            except CannotEditError:
                defines = False
            if not defines:
                return f"{path}, which was kept, does not define {name}; define it there first, or choose another name"
    return ""
