"""Renders template trees and a context to planned files. Knows nothing of what templates mean."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from falconws_cli.change.paths import check_path
from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError
from falconws_cli.templating.filters import FUNCTIONS
from falconws_cli.templating.templates import IN_PROJECT, PARTIALS, find_root, overriding_folders, read_templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


def render_trees(
    trees: Sequence[str], context: Mapping[str, Any], *, root: Path | None = None, home: Path | None = None
) -> list[PlannedFile]:
    """Return the files that *trees* render to, in the order of their paths.

    `%name%` in a template's path is the context's value, `dot_` begins a name with a dot, `.jinja` renders and is
    dropped; other files are copied.

    Args:
        trees: Names of trees, such as "resource/echo". Of two files with one path, the later tree's is used.
        context: The values for the templates; a missing name is an error.
        root: The project whose own templates replace ours, or None for no project.
        home: The folder with the trees and "partials"; None for our own.

    Raises:
        CommandError: A template cannot be rendered; the message names the file and the line.
    """
    from falconws_cli.templating.jinja import renderers_of

    overriding = overriding_folders(root, trees)
    if root is not None:
        _announce([tree for tree in (*trees, PARTIALS) if (root / IN_PROJECT / tree).is_dir()])
    templates = read_templates([*overriding, home or find_root()], trees, root)
    renderers = renderers_of(templates, root)
    values = {**FUNCTIONS, **context}
    files = {}
    for path, place in _places(renderers, trees):
        part = renderers[path]
        data = part if isinstance(part, bytes) else part(values).encode()
        files[place] = PlannedFile(output_path(place, context), data)
    if not files:
        raise CommandError("The installation of falconws lacks its templates; install falconws again.")
    return [files[place] for place in sorted(files)]


def _announce(trees: Sequence[str]) -> None:
    """Print once, for each command, that the project's own templates are used for *trees*."""
    context = click.get_current_context(silent=True)
    announced = context.meta.setdefault("falconws.own_templates", set()) if context else set()
    if new := [tree for tree in trees if tree not in announced]:
        announced.update(new)
        click.echo(f"Using the project's own templates in {IN_PROJECT.as_posix()}/ for {', '.join(new)}.", err=True)


def _places(paths: Iterable[str], trees: Sequence[str]) -> list[tuple[str, str]]:
    """Return each path in one of *trees* with its place in the tree, tree by tree."""
    paths = list(paths)
    return [(path, path[len(tree) + 1 :]) for tree in trees for path in paths if path.startswith(f"{tree}/")]


def output_path(source: str, context: Mapping[str, Any]) -> PurePosixPath:
    """Return the path of the file that the template at *source* renders to.

    Raises:
        CommandError: The path names a value that *context* does not have.
    """
    parts = []
    for part in PurePosixPath(source.removesuffix(".jinja")).parts:
        for key, value in context.items():
            part = part.replace(f"%{key}%", str(value))
        if "%" in part:
            raise CommandError(f"The path of the template {source} names a value that does not exist: {part}.")
        parts.append("." + part.removeprefix("dot_") if part.startswith("dot_") else part)
    path = PurePosixPath(*parts)
    try:
        check_path(path)
    except CommandError as error:
        raise CommandError(f"The template {source} cannot be used: {error.message}") from None
    return path
