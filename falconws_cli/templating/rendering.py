"""Template trees and a context become planned files.

Trees that nobody has changed are rendered by the functions that the build of the wheel made of them. Changed ones,
and all of them in a checkout, are rendered by Jinja2, which costs as much time as the rest of a command.
"""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError
from falconws_cli.templating.functions import FUNCTIONS
from falconws_cli.templating.templates import find_root, overriding_folders, read_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    Renderer: TypeAlias = Callable[[Mapping[str, Any]], str]

COMPILED = "falconws_cli.compiled_templates"
"""The package that a wheel has, with one module for each kind of tree."""


def render_trees(
    trees: Sequence[str], context: Mapping[str, Any], *, root: Path | None = None, home: Path | None = None
) -> list[PlannedFile]:
    """Return the files that *trees* make of *context*, by path.

    `%name%` in a template's path is the context's value, `dot_` begins a name with a dot, `.jinja` renders and is
    dropped; other files are copied.

    Args:
        trees: Such as "resource/echo". Where two have a file at one path, the later one's counts.
        context: What templates may name; a name that is missing is an error.
        root: The project whose own templates win, or None for no project.
        home: The folder that has the trees, and "partials" for what they include; None for our own.

    Raises:
        CommandError: A template cannot be rendered; the message names the file and the line.
    """
    overriding = overriding_folders(root, trees)
    renderers = None if overriding or home is not None else _compiled(trees)
    if renderers is None:
        from falconws_cli.templating.jinja import renderers_of

        templates = read_templates([*overriding, home or find_root()], trees)
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


def _places(paths: Iterable[str], trees: Sequence[str]) -> list[tuple[str, str]]:
    """Return each path that is in one of *trees*, with its place there, tree by tree."""
    paths = list(paths)
    return [(path, path[len(tree) + 1 :]) for tree in trees for path in paths if path.startswith(f"{tree}/")]


def _compiled(trees: Sequence[str]) -> dict[str, bytes | Renderer] | None:
    """Return what the build made of the trees' templates, or None when one of them needs Jinja2."""
    files: dict[str, bytes | Renderer] = {}
    for kind in sorted({tree.partition("/")[0] for tree in trees}):
        try:
            module = importlib.import_module(f"{COMPILED}.{kind}")
        except ModuleNotFoundError:
            return None
        if _places(module.LEFT_OUT, trees):
            return None
        files.update(module.FILES)
    return files


def output_path(source: str, context: Mapping[str, Any]) -> PurePosixPath:
    """Return where the template at *source* in its tree goes.

    Raises:
        CommandError: The path names a value that *context* does not have.
    """
    parts = []
    for part in PurePosixPath(source.removesuffix(".jinja")).parts:
        for key, value in context.items():
            part = part.replace(f"%{key}%", str(value))
        if "%" in part:
            raise CommandError(f"The path of the template {source} names a value that there is not: {part}.")
        parts.append("." + part.removeprefix("dot_") if part.startswith("dot_") else part)
    return PurePosixPath(*parts)
