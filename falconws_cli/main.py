"""The `falconws` command: a group whose commands are loaded when they are needed.

Listing the commands imports only click and this file: the one line of help of each command stands here, and a test
compares it with the command's own. Must not import anything else before a command is looked up.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "new": "Create a project.",
    "init": "Use falconws in an existing project.",
    "add-resource": "Add a resource, its tests and its route.",
    "add-middleware": "Add a middleware and its tests.",
    "add-media-handler": "Add a media handler and its tests.",
    "add-part": "Add an optional part, such as a Dockerfile.",
    "status": "Show what was generated, and what has changed since.",
    "undo": "Undo the last add- or remove- command.",
    "remove-resource": "Remove a generated resource.",
    "remove-middleware": "Remove a generated middleware.",
    "remove-media-handler": "Remove a generated media handler.",
    "remove-part": "Remove a generated part.",
    "moved": "Record that generated code was moved or renamed.",
    "forget": "Stop managing generated code; its files stay.",
    "upgrade": "Upgrade the project to the installed templates.",
    "eject": "Copy a template to customize it.",
    "serve": "Serve the project's app.",
    "test": "Run the project's tests.",
    "inspect": "Show the parts of the app.",
    "asyncapi": "Print or check the AsyncAPI document.",
    "generate-client": "Generate a TypeScript, JavaScript or Python client.",
    "doctor": "Check the installation and the project.",
    "connect": "Talk to a WebSocket, interactively or in scripts.",
    "publish": "Publish a message to a room.",
    "bench": "Put a WebSocket route under load.",
    "completion": "Print the completion script for a shell.",
}
"""Each command with its short help, in the order in which a newcomer needs them."""


class LazyGroup(click.Group):
    """Loads a command's module when the command is looked up; none of them imports more than click."""

    def main(self, *args: Any, **keywords: Any) -> Any:
        """Run the command line. Output that cannot be written fails a command only if it did nothing else."""
        from falconws_cli.output import protect_streams

        output = protect_streams()
        try:
            return super().main(*args, **keywords)
        except SystemExit as ended:
            sys.stdout.flush()
            if output is not None and (lost := output.describe_loss()):
                click.echo(f"Error: {lost}", err=True)
                ended.code = ended.code or 1
            raise

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of the command line, whose colors follow the environment."""
        from falconws_cli.output import wants_color

        return super().make_context(info_name, args, parent, **{"color": wants_color(os.environ), **extra})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(_all_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None when there is no such command."""
        if cmd_name == "destroy" or cmd_name.startswith("remove-"):
            return _removing_command(cmd_name)
        if cmd_name not in _COMMANDS:
            return _command_of_another_package(ctx, cmd_name)
        module = importlib.import_module(f"falconws_cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; if there is none, suggest a similar one."""
        name = args[0]
        if name in _COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            from falconws_cli.suggestions import did_you_mean

            ctx.fail(f'There is no command "{name}".{did_you_mean(name, _all_commands())}')
        return name if command else None, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_all_commands().items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands, and the group's own options, that begin with *incomplete*, without loading them."""
        from click.shell_completion import CompletionItem

        commands = _all_commands()
        names = [name for name in commands if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=commands[name]) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def _all_commands() -> dict[str, str]:
    """Return the commands and those of installed generators, each with its short help; loads none of them."""
    from falconws_cli.entry_points import extension_names

    return {
        **_COMMANDS,
        **{f"add-{name}": f"Generate with the package {package}." for name, package in extension_names().items()},
        **{f"remove-{name}": f"Remove a generated {name.replace('-', ' ')}." for name in extension_names()},
    }


def _removing_command(name: str) -> click.Command | None:
    from falconws_cli.commands.remove import command_of, destroy

    if name == "destroy":
        return destroy
    return command_of(name.removeprefix("remove-")) if name in _all_commands() else None


def _command_of_another_package(ctx: click.Context, name: str) -> click.Command | None:
    if not name.startswith("add-"):
        return None
    from falconws_cli.errors import CommandError
    from falconws_cli.generators.plugins import load_extension

    try:
        extension = load_extension(name.removeprefix("add-"))
    except CommandError:
        # A shell that completes a line cannot show an error.
        if ctx.resilient_parsing:
            return None
        raise
    if extension is None:
        return None
    from falconws_cli.commands.plugin import command_of

    return command_of(extension)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"falconws {version('falconws')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 failed; 2 invalid arguments, nothing written; 3 written, and something is left for "
    "you to do (it was printed); 4 files exist already, nothing written; 5 merged, with conflicts to resolve; 6 an "
    "upgrade is available. `falconws test` returns the exit code of pytest.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Start, grow, test and serve a WebSocket API on Falcon.

    \b
    Examples:
      falconws new demo --serve
      falconws add-resource "chat room" --route "/rooms/{room_id}/chat" --pattern duplex
      falconws test
    """
