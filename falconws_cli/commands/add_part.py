"""`falconws add-part`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating
from falconws_cli.suggestions import Choice

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions

_PARTS = ("docker", "compose", "redis", "nats", "github-ci", "pre-commit", "agents-md")


@click.command("add-part", short_help="Add an optional part, such as a Dockerfile.")
@click.argument("part", metavar="PART", type=Choice(_PARTS))
@generating()
def command(part: str, write_options: WriteOptions) -> None:
    """Add an optional part to a project: what `falconws new --with PART` would have made.

    New files are created; in other files, lines are added. Where the lines around them were edited so much that their
    place is not certain, the lines to add are printed.

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
      falconws add-part docker
      falconws add-part redis --dry-run --diff
    """
    from falconws_cli.generators import add

    sys.exit(add(Path.cwd(), "part", part, {}, write_options))
