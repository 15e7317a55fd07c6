"""`falconws generate-client`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating
from falconws_cli.suggestions import Choice, did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from falconws_cli.change.write_options import WriteOptions
    from falconws_cli.source.registration import JsonValue

_OUTPUT = click.option(
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The client's folder.",
)
_FROM = click.option(
    "--from",
    "document",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the conversations from this AsyncAPI document, instead of the app.",
)
_ONLY = click.option(
    "--only", multiple=True, metavar="NAME", help="Only this conversation; may be given several times.  [default: all]"
)
_CHECK = click.option("--check", is_flag=True, help="Write nothing; fail if the client is out of date.")


def _source_options(function: Callable[..., None]) -> Callable[..., None]:
    decorated = click.argument("app_path", metavar="[MODULE:ATTR]", required=False)(function)
    for option in (_CHECK, _ONLY, _FROM, _OUTPUT):
        decorated = option(decorated)
    return decorated


class _Languages(click.Group):
    """A command for each language."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a language; the error for any other suggests a similar one, or lists them all."""
        command = super().get_command(ctx, cmd_name)
        if command is None and not (ctx.resilient_parsing or cmd_name.startswith("-")):
            hint = did_you_mean(cmd_name, self.commands) or f" Use {listed(list(self.commands))}."
            ctx.fail(f'There is no client in "{cmd_name}".{hint}')
        return command


@click.group("generate-client", cls=_Languages, short_help="Generate a TypeScript, JavaScript or Python client.")
def command() -> None:
    """Generate a client of the project's typed conversations, as source.

    The client is a folder of the project. Run the command again after a change of the conversations: files that you
    have edited are not overwritten without a question. In a repository that does not have the app, use --from.

    \b
    Examples:
      falconws generate-client ts --output web/src/falconws
      falconws generate-client ts --output web/src/falconws --react
      falconws generate-client ts --output web/src/falconws --check
      falconws generate-client ts --from asyncapi.json --output src/falconws
      falconws generate-client python --from asyncapi.json --output chat_client
    """


@command.command("ts", short_help="Generate a TypeScript client.")
@_source_options
@click.option("--react", is_flag=True, help="Add hooks for React 18 and newer.")
@click.option(
    "--import-extension",
    type=Choice(("none", "js", "ts")),
    default="none",
    show_default=True,
    help="What imports of the client's own files end with.",
)
@generating(unrecorded=("check",))
def ts(
    app_path: str | None,
    output: Path,
    document: Path | None,
    only: tuple[str, ...],
    check: bool,
    react: bool,
    import_extension: str,
    write_options: WriteOptions,
) -> None:
    """Generate a TypeScript client: a file for each conversation, and one that they share.

    \b
    Examples:
      falconws generate-client ts --output web/src/falconws
      falconws generate-client ts --output web/src/falconws --react
      falconws generate-client ts --output web/src/falconws --check
      falconws generate-client ts demo.app:create_app --output client --import-extension js
    """
    extension = "" if import_extension == "none" else f".{import_extension}"
    options: dict[str, JsonValue] = {"language": "ts", "react": react, "import_extension": extension}
    _generate(app_path, output, document, only, check, options, write_options)


@command.command("js", short_help="Generate a JavaScript client.")
@_source_options
@generating(unrecorded=("check",))
def js(
    app_path: str | None,
    output: Path,
    document: Path | None,
    only: tuple[str, ...],
    check: bool,
    write_options: WriteOptions,
) -> None:
    """Generate a JavaScript client: one module, client.js, which a page can import without a build.

    It is the TypeScript client without its types.

    \b
    Examples:
      falconws generate-client js --output demo/static
      falconws generate-client js --only Chat --output demo/resources/chat_client
    """
    _generate(app_path, output, document, only, check, {"language": "js"}, write_options)


@command.command("python", short_help="Generate a Python client.")
@_source_options
@generating(unrecorded=("check",))
def python(
    app_path: str | None,
    output: Path,
    document: Path | None,
    only: tuple[str, ...],
    check: bool,
    write_options: WriteOptions,
) -> None:
    """Generate a package with the classes of the conversations, for falconws.client in a repository without the app.

    It needs falconws[typed].

    \b
    Examples:
      falconws generate-client python --from asyncapi.json --output chat_client
      falconws generate-client python --from asyncapi.json --output chat_client --check
    """
    _generate(app_path, output, document, only, check, {"language": "python"}, write_options)


def _generate(
    app_path: str | None,
    output: Path,
    document: Path | None,
    only: tuple[str, ...],
    check: bool,
    options: dict[str, JsonValue],
    write_options: WriteOptions,
) -> None:
    if app_path is not None and document is not None:
        raise click.UsageError("MODULE:ATTR and --from are two sources of the same thing; leave one of them out.")
    from falconws_cli.lifecycle import client

    place = client.find_place(Path.cwd(), output, app_path or "", document)
    sys.exit(client.generate(place, {**options, "only": list(only)}, write_options, only_check=check))
