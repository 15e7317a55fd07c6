"""`falconws generate-client`, from the recipe to the transaction; in a project, or in any other folder.

Must not know what the files of a client contain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from falconws_cli.change.lock import exclusive
from falconws_cli.change.record import read_record
from falconws_cli.change.transaction import carry_out
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.generators.client.generator import ClientGenerator, plan_client
from falconws_cli.lifecycle.moves import locate
from falconws_cli.project import Project, find_project
from falconws_cli.source.registration import JsonValue


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
        CommandError: It is out of date, the conversations cannot be read, or the files cannot be written.
    """
    project = place.project
    recipe = ClientGenerator().recipe(project, place.folder, {**options, "app": place.app, "from": place.document})
    with exclusive(project.root):
        update = plan_client(project, locate(read_record(project.root)).record, recipe)
        if not only_check:
            return carry_out(project.root, [update.plan], write_options, earlier=update.earlier)
        if update.out_of_date:
            raise CommandError(f"{place.folder} is out of date; run `{write_options.command}`.")
        click.echo(f"{place.folder} is up to date.")
        return ExitCode.OK
