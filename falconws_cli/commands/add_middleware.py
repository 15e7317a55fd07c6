"""`falconws add-middleware`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating
from falconws_cli.suggestions import Choice

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions

_KINDS = ("blank", "logging", "token-auth")


@click.command("add-middleware", short_help="Add a middleware and its tests.")
@click.argument("name")
@click.option("--kind", type=Choice(_KINDS), default="blank", show_default=True, help="What the middleware does.")
@generating()
def command(name: str, kind: str, write_options: WriteOptions) -> None:
    """Add a middleware with its tests, and register it in app.py.

    \b
    Kinds:
      blank       lets everything through
      logging     logs each request, and the start and end of each WebSocket
      token-auth  answers 401 to clients without a token, before a WebSocket is accepted

    \b
    Examples:
      falconws add-middleware access-log --kind logging
      falconws add-middleware auth --kind token-auth
    """
    from falconws_cli.generators import add

    sys.exit(add(Path.cwd(), "middleware", name, {"kind": kind}, write_options))
