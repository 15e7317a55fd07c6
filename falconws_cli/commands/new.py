"""`falconws new`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from falconws_cli.change.write_options import WriteOptions
    from falconws_cli.generators.parts import ProjectOptions


def _complete_part(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from click.shell_completion import CompletionItem

    from falconws_cli.generators.parts import WHAT

    # "docker,com" completes to "docker,compose".
    before, comma, begun = incomplete.rpartition(",")
    chosen = before.split(",")
    names = {part.value: what for part, what in WHAT.items() if part.value not in chosen}
    return [
        CompletionItem(f"{before}{comma}{name}", help=what) for name, what in names.items() if name.startswith(begun)
    ]


def _complete_preset(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from falconws_cli.errors import CommandError
    from falconws_cli.generators.presets import presets_file, read_presets

    try:
        return [name for name in read_presets(presets_file()) if name.startswith(incomplete)]
    except CommandError:
        return []


@click.command("new", short_help="Create a project.")
@click.argument("name", required=False)
@click.option(
    "--in",
    "parent",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder to create the project in.  [default: the current one]",
)
@click.option("--minimal", is_flag=True, help="Generate one module and one test, instead of the full layout.")
@click.option(
    "--with",
    "with_parts",
    metavar="PART",
    multiple=True,
    shell_complete=_complete_part,
    help="Add an optional part, or several separated by commas; can be repeated.",
)
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=_complete_preset,
    help="Start from a preset in presets.toml of your settings folder.",
)
@click.option("--package", metavar="NAME", default="", help="Import name of the package.  [default: the name]")
@click.option("--src", is_flag=True, help="Put the package into a folder src.")
@click.option("--git", "make_commit", is_flag=True, help="Make a git repository with a first commit.")
@click.option("--interactive", is_flag=True, help="Ask for each option, and show the equivalent command.")
@click.option("--serve", is_flag=True, help="Serve the project afterwards, on port 8000 or a free one.")
@generating(unrecorded=("parent", "serve", "make_commit"))
def command(
    name: str | None,
    parent: Path,
    minimal: bool,
    with_parts: tuple[str, ...],
    preset: str | None,
    package: str,
    src: bool,
    make_commit: bool,
    interactive: bool,
    serve: bool,
    write_options: WriteOptions,
) -> None:
    """Create a project: an app with tests, ready to serve.

    NAME is one or several words: demo, chat-room, "chat room" and ChatRoom all work. With the name ".", the project is
    created in the current folder, and named after it. A README, a license and the files of git that are already there
    are kept.

    \b
    Parts:
      docker      a Dockerfile: multi-stage, non-root, with a health check
      compose     a compose.yaml that runs the image; includes docker
      redis       a hub for broadcast over Redis or Valkey
      nats        a hub for broadcast over NATS JetStream
      github-ci   a GitHub workflow that runs checks and tests
      pre-commit  git hooks that run checks before a commit
      agents-md   an AGENTS.md for coding agents

    \b
    Examples:
      falconws new demo --serve
      falconws new "chat room" --in ~/src --with compose,github-ci
      falconws new demo --minimal --with docker --with pre-commit
      falconws new --interactive
      falconws new demo --preset service --dry-run
      falconws new . --package shop --src --git
    """
    from falconws_cli.change.lock import exclusive
    from falconws_cli.change.transaction import carry_out
    from falconws_cli.change.write_options import ConflictPolicy
    from falconws_cli.errors import ExitCode
    from falconws_cli.generators.new_project import plan_project
    from falconws_cli.generators.parts import BROKERS, ProjectOptions, parse_parts

    if name is None and not interactive:
        raise click.UsageError("Missing argument 'NAME'.")
    options = ProjectOptions(minimal, parse_parts(with_parts), package, src)
    if preset is not None:
        from falconws_cli.generators.presets import find_preset, presets_file

        options |= find_preset(preset, presets_file())
    if interactive:
        from falconws_cli.generators.prompts import ask_for_options

        name, options = ask_for_options(name, options)
    assert name is not None
    with exclusive(parent):
        root, plans = plan_project(name, parent, options, among_files=write_options.policy is not ConflictPolicy.ASK)
        code = carry_out(root, plans, replace(write_options, command=_command_line(name, options)))
    if write_options.dry_run or write_options.json:
        sys.exit(code)
    click.echo(f"\nCreated {root.resolve() if name == '.' else root}.")
    if interactive:
        where = [] if parent == Path() else ["--in", str(parent)]
        click.echo(f"The same without prompts: {_command_line(name, options, *where)}")
    if code != ExitCode.OK:
        sys.exit(code)
    if make_commit:
        from falconws_cli.generators.new_project import make_first_commit

        make_first_commit(root, _command_line(name, options))
    if serve:
        from falconws_cli.serve import serve_new_project

        sys.exit(serve_new_project(root.resolve()))
    steps = [] if root.resolve() == Path.cwd() else [shlex.join(["cd", str(root)])]
    if any(part in BROKERS for part in options.parts):
        steps.append("pip install -e '.[dev]'")
    click.echo(f"Next: {' && '.join([*steps, 'falconws serve'])}")


def _command_line(name: str, options: ProjectOptions, *others: str) -> str:
    return shlex.join(["falconws", "new", name, *others, *options.words])
