"""The `falconws` command: a group whose commands are loaded when they are needed."""

import importlib

import click

_COMMANDS = ("new", "add-resource", "add-middleware", "add-media-handler", "serve", "test", "bench")


class LazyGroup(click.Group):
    """Loads a command's module when the command is looked up; none of them imports more than click."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None when there is no such command."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"falconws_cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"falconws {version('falconws')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 it could not be done; 2 refused as typed, nothing written; 3 written, but "
    "lines are left for you to add (they were printed). `falconws test` passes on pytest's.",
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
