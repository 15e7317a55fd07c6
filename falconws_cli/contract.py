"""The AsyncAPI document of a project: printed, written, and compared with a committed one.

Knows how an app is loaded, and `falconws.typed.asyncapi`, which makes the document.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from falconws_cli.errors import CommandError, refused_by_system
from falconws_cli.inspect.run import load_app
from falconws_cli.origin import extra_command
from falconws_cli.project import find_project

DOCUMENT = "asyncapi.json"
"""The file of a project where its document is usually committed."""
_NO_TYPED_ROUTE = "{} has no typed route: put @speaks(...) on an on_websocket() responder."


def load_document(app_path: str | None, start: Path, servers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the document of the app that *app_path* names, or of the project around *start*.

    Raises:
        CommandError: The app does not load, has no typed route, or the extra is not installed.
    """
    try:
        from falconws.typed.asyncapi import asyncapi, typed_routes
    except ImportError as error:
        raise CommandError(_missing_extra(app_path, start)) from error
    app, name, _ = load_app(app_path, start)
    if not hasattr(app, "websocket_routes") or not typed_routes(app):
        raise CommandError(_NO_TYPED_ROUTE.format(name))
    title = name.partition(":")[0].partition(".")[0]
    try:
        return asyncapi(app, title=title, servers=servers)
    except TypeError as error:
        raise CommandError(f"{error}") from error


def _missing_extra(app_path: str | None, start: Path) -> str:
    """Return why there is no document without the extra: an app that can be imported all the same declares nothing."""
    install = f"run `{extra_command('typed')}`"
    try:
        _, name, _ = load_app(app_path, start)
    except CommandError:
        return f'Typed conversations need the extra "typed" of falconws, which is not installed: {install}.'
    return f'{_NO_TYPED_ROUTE.format(name)} That needs the extra "typed" of falconws: {install}.'


def text_of(document: dict[str, Any]) -> str:
    """Return *document* as it is written to a file: JSON that a diff shows line by line."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def page_of(document: dict[str, Any]) -> str:
    """Return *document* as one HTML page that needs no network."""
    from falconws.typed.asyncapi_html import asyncapi_html

    return asyncapi_html(document)


def check(document: dict[str, Any], path: Path, *, breaking: bool) -> None:
    """Compare *document* with the committed one at *path*; with *breaking*, allow changes that break no client.

    Raises:
        CommandError: They differ, or the committed one cannot be read.
    """
    committed = read_document(path)
    if breaking:
        from falconws.typed.evolution import breaking_changes

        changes = breaking_changes(committed, document)
        for change in changes:
            click.echo(f"  {change}")
        if changes:
            count = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
            raise CommandError(
                f"{count} since {path} would break clients; give the new version a subprotocol of its own."
            )
    elif committed != document:
        raise CommandError(f"{path} is out of date; run falconws asyncapi --output {path}")
    click.echo(f"{path} is up to date." if committed == document else f"Nothing since {path} breaks a client.")


def find_document(start: Path) -> dict[str, Any] | None:
    """Return the document of the project around *start*: the app's, else its file asyncapi.json; None for neither."""
    with contextlib.suppress(CommandError):
        return load_document(None, start)
    project = find_project(start)
    with contextlib.suppress(CommandError):
        return None if project is None else read_document(project.root / DOCUMENT)
    return None


def read_document(path: Path) -> dict[str, Any]:
    """Return the document in the file at *path*.

    Raises:
        CommandError: The file cannot be read, or is something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refused_by_system(f"read {path}", error) from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict) or not {"channels", "operations", "components"} <= document.keys():
        raise CommandError(f"{path} is not an AsyncAPI document of falconws.")
    return document


def write(text: str, path: Path) -> None:
    """Write *text* to *path*.

    Raises:
        CommandError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise refused_by_system(f"write {path}", error) from error
    click.echo(f"Wrote {path}.")
