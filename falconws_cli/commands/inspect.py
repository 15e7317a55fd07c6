"""`falconws inspect`."""

from pathlib import Path

import click


@click.command("inspect", short_help="Show the parts of the app.")
@click.argument("app_path", metavar="[MODULE:ATTR]", required=False)
@click.option("--tree", "as_tree", is_flag=True, help="Show a tree, with the file and line of each function.")
@click.option("--all", "everything", is_flag=True, help="Show options and media handlers with default values too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(app_path: str | None, as_tree: bool, everything: bool, as_json: bool) -> None:
    """Show the parts of the project's app, or of the app MODULE:ATTR.

    Shows routes with their HTTP methods and WEBSOCKET, resources and their files, sinks, static routes, middleware,
    lifespan hooks, error handlers, and the media handlers and WebSocket options that differ from the defaults. The app
    is imported but not started.

    \b
    Examples:
      falconws inspect
      falconws inspect --tree
      falconws inspect --all
      falconws inspect demo.asgi:app --json
    """
    from falconws_cli.inspect.run import inspect

    inspect(app_path, Path.cwd(), as_tree=as_tree, as_json=as_json, everything=everything)
