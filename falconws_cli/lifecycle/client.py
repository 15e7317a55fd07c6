"""`falconws generate-client`, from the recipe to the transaction; in a project, or in any other folder.

Must not know what the files of a client contain.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import click

from falconws_cli.change.lock import exclusive
from falconws_cli.change.operation import Operation
from falconws_cli.change.plan import Recipe
from falconws_cli.change.record import read_record
from falconws_cli.change.transaction import carry_out
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.generators.client.generator import ClientGenerator, plan_client
from falconws_cli.lifecycle.moves import locate
from falconws_cli.project import Project, find_project
from falconws_cli.source.registration import JsonValue

_LANGUAGES = {"js": "JavaScript", "python": "Python", "ts": "TypeScript"}
_FILE_SUFFIXES = frozenset(
    {".cjs", ".cts", ".html", ".js", ".json", ".jsx", ".mjs", ".mts", ".py", ".pyi", ".ts", ".tsx", ".yaml", ".yml"}
)


@dataclass(frozen=True)
class ClientPlace:
    """Where a client is, and where its conversations come from."""

    project: Project
    folder: str
    """Relative to the root of the project."""
    app: str
    document: str
    """The AsyncAPI document, relative to the root of the project; empty for the app."""


def find_place(start: Path, output: Path, app: str, document: Path | None) -> ClientPlace:
    """Return the place of a client, for the folder in which the command was typed.

    Raises:
        RefusedError: The client would be outside of the project, or there is neither an app nor a document.
    """
    project = find_project(start)
    if project is None:
        if not app and document is None:
            raise RefusedError(
                f"{start} is not in a falconws project: name the app as MODULE:ATTR, or its document with --from FILE."
            )
        project = Project(start, app)
    folder = os.path.relpath(start / output, project.root).replace(os.sep, "/")
    if folder.startswith("..") or folder == ".":
        raise RefusedError(
            f"--output {output} is not a folder inside of {project.root}. To generate a client for another repository, "
            "run the command there, with --from and the file that `falconws asyncapi --output` writes."
        )
    file = "" if document is None else os.path.relpath(start / document, project.root).replace(os.sep, "/")
    return ClientPlace(project, folder, app, file)


def generate(
    place: ClientPlace, options: Mapping[str, JsonValue], write_options: WriteOptions, *, only_check: bool
) -> ExitCode:
    """Write the client, or only check whether it is out of date; return the exit code.

    Raises:
        RefusedError: The folder is not one for a client, or has one in another language.
        CommandError: It is out of date, the conversations cannot be read, or the files cannot be written.
    """
    project = place.project
    recipe = ClientGenerator().recipe(project, place.folder, {**options, "app": place.app, "from": place.document})
    with exclusive(project.root):
        record = locate(read_record(project.root)).record
        known = [one for one in record.generated if one.recipe is not None and one.recipe.is_same_thing(recipe)]
        _refuse_other_language(project, recipe, known)
        if not known:
            _refuse_folder(project, recipe)
        update = plan_client(project, record, recipe)
        if not only_check:
            notes = () if known else _notes(project, recipe, update.plan.generated)
            return carry_out(project.root, [replace(update.plan, notes=notes)], write_options, earlier=update.earlier)
        if update.out_of_date:
            raise CommandError(f"{place.folder} is out of date; run `{write_options.command}`.")
        click.echo(f"{place.folder} is up to date.")
        return ExitCode.OK


def _refuse_other_language(project: Project, recipe: Recipe, known: Iterable[Operation]) -> None:
    """Refuse to replace a client by one in another language: its files would be deleted."""
    for operation in known:
        assert operation.recipe is not None
        there = operation.recipe.options["language"]
        if there != recipe.options["language"] and any(project.exists(PurePosixPath(path)) for path in operation.files):
            raise RefusedError(
                f"{recipe.name} has a {_LANGUAGES[str(there)]} client; choose another folder with --output, or delete "
                f"{recipe.name} first."
            )


def _refuse_folder(project: Project, recipe: Recipe) -> None:
    """Refuse a folder that is certainly a mistake."""
    folder = PurePosixPath(recipe.name)
    if folder.suffix in _FILE_SUFFIXES:
        raise RefusedError(
            f"A client is a folder, and {folder} is the name of a file: use --output {folder.with_suffix('')}."
        )
    package = next((path for path in (folder, folder.parent) if project.exists(path / "__init__.py")), None)
    if recipe.options["language"] == "ts" and package is not None:
        raise RefusedError(
            f"{package} is a Python package, which is no place for a TypeScript client; choose a folder of the "
            "frontend, such as --output web/src/falconws."
        )


def _notes(project: Project, recipe: Recipe, generated: Collection[PurePosixPath]) -> tuple[str, ...]:
    """Return a note when the folder has other files, which is rarely meant."""
    folder = project.root / recipe.name
    names = {PurePosixPath(path).relative_to(recipe.name).parts[0] for path in generated}
    others = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.is_dir() else []
    if not others:
        return ()
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return (f"{recipe.name} has other files too ({', '.join(others[:3])}{more}), which stay as they are.",)
