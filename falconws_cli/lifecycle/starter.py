"""Sets the resource that `falconws new` made apart from the project's other files, in what is remembered. Reads only.

Afterwards it is as if `falconws new` had made a project without it, and a command of its own had added it, to the
texts that mention it too. `destroy` and `undo` then treat it like any other.
"""

from dataclasses import replace
from pathlib import PurePosixPath

from falconws_cli.change import changes as tracked
from falconws_cli.change.manifest import Edit, Manifest, Operation
from falconws_cli.change.record import Memory, sha256
from falconws_cli.errors import RefusedError
from falconws_cli.generators import render
from falconws_cli.generators.starter import (
    ROUTE,
    STARTER,
    STARTER_RECIPE,
    has_starter,
    make_starter,
    with_starter,
    without_starter,
)
from falconws_cli.lifecycle.removal import Withdrawal
from falconws_cli.lifecycle.upgrade_plan import as_registered
from falconws_cli.project import Project


def is_part_of(manifest: Manifest) -> bool:
    """Tell whether the resource is remembered as a part of what `falconws new` made."""
    return any(has_starter(operation.recipe) for operation in manifest.operations)


def set_apart(memory: Memory, project: Project) -> Memory:
    """Return the memory with an operation of its own for the resource, where that is a part of the project's.

    Raises:
        RefusedError: It has no files of its own.
    """
    _refuse_minimal(memory.manifest, project)
    operations: list[Operation] = []
    texts: dict[str, bytes] = {}
    for operation in memory.manifest.operations:
        if has_starter(operation.recipe):
            operations += _split(operation, project, texts)
        else:
            operations.append(operation)
    manifest = replace(memory.manifest, operations=tuple(operations))
    return replace(memory, manifest=manifest, unwritten={**memory.unwritten, **texts})


def mentions(manifest: Manifest, project: Project, withdrawal: Withdrawal) -> list[str]:
    """Return a sentence for each file of the project that still mentions the resource after *withdrawal*."""
    settled = {file.path for file in withdrawal.files} | {planned.path for planned in withdrawal.registrations}
    sentences = []
    for operation in manifest.operations:
        if operation.recipe.generator != "project":
            continue
        plain, mentioning = _both(operation, project)
        for path in sorted(plain.keys() & mentioning.keys() - settled):
            own = set(mentioning[path].splitlines()) - set(plain[path].splitlines())
            lines = (tracked.read(project.root, str(path)) or b"").splitlines()
            number = next((number for number, line in enumerate(lines, 1) if line in own), None)
            if number is not None:
                sentences.append(f"{path}:{number} still mentions {ROUTE}, which is gone: see to it yourself.")
    return sentences


def _refuse_minimal(manifest: Manifest, project: Project) -> None:
    recipes = [operation.recipe for operation in manifest.operations]
    another = any((recipe.generator, recipe.name) == ("resource", STARTER) for recipe in recipes)
    if not another and any(recipe.generator == "project" and recipe.options.get("minimal") for recipe in recipes):
        raise RefusedError(
            f"EchoResource is in {project.package_path}/app.py, where `falconws new --minimal` has put everything: "
            "delete the class and its route there, and its test in tests/test_app.py."
        )


def _split(operation: Operation, project: Project, texts: dict[str, bytes]) -> tuple[Operation, Operation]:
    """Return what made the project without the resource, and what made the resource; add what is new to *texts*."""
    plain, mentioning = _both(operation, project)
    files, own, edits = {}, {}, {}
    for name, key in operation.files.items():
        path = PurePosixPath(name)
        if path in mentioning and path not in plain:
            own[name] = key
            continue
        files[name] = key
        # Templates of another version may have made it; then it is left to the next upgrade.
        if path in mentioning and mentioning[path] != plain[path] and sha256(mentioning[path]) == key:
            files[name] = sha256(plain[path])
            texts[files[name]] = plain[path]
            edits[name] = Edit(files[name], key)
    added = Operation(
        command=operation.command,
        version=operation.version,
        recipe=STARTER_RECIPE,
        files=own,
        edits=edits,
        registrations=tuple(as_registered(wiring) for wiring in make_starter(project).wirings),
    )
    return replace(operation, recipe=without_starter(operation.recipe), files=files), added


def _both(operation: Operation, project: Project) -> tuple[dict[PurePosixPath, bytes], dict[PurePosixPath, bytes]]:
    """Return the project's files without the resource, and with it."""
    recipes = without_starter(operation.recipe), with_starter(operation.recipe)
    plain, mentioning = ({file.path: file.data for file in render(project, recipe)} for recipe in recipes)
    return plain, mentioning
