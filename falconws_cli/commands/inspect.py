"""`falconws inspect`."""

from pathlib import Path

import click


@click.command("inspect", short_help="Show what the app consists of.")
@click.argument("target", metavar="[MODULE:ATTR]", required=False)
@click.option("--tree", "as_tree", is_flag=True, help="Show a tree, with file and line of each function.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def command(target: str | None, as_tree: bool, as_json: bool) -> None:
    """Show what the project's app, or the app MODULE:ATTR, consists of.

    Routes with their HTTP methods and WEBSOCKET, resources and their files, sinks, static routes, middleware,
    lifespan hooks, error handlers, media handlers and WebSocket options. The app is imported, and not started.

    \b
    Examples:
      falconws inspect
      falconws inspect --tree
      falconws inspect demo.asgi:app --json
    """
    from falconws_cli.inspect.run import inspect

    inspect(target, Path.cwd(), as_tree=as_tree, as_json=as_json)
