"""`falconws add-NAME` for a generator of another package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from falconws_cli.commands.options import generating

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions
    from falconws_cli.generators.plugins import Extension


def command_of(extension: Extension) -> click.Command:
    """Return the command of a generator, with the options that all generating commands have."""

    @generating()
    def run(name: str, write_options: WriteOptions, **options: Any) -> None:
        from falconws_cli.generators import add

        sys.exit(add(Path.cwd(), extension.name, name, options, write_options))

    command = click.command(f"add-{extension.name}", help=extension.help)(run)
    command.params = [click.Argument(["name"]), *extension.params, *command.params]
    return command
