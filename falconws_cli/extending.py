"""What a package needs that adds a generator of its own: the names of this module, and nothing else, are for others.

The package names a class, or an object, in the entry-point group "falconws.generators"; the entry point's name is
the command's: "presence" is `falconws add-presence`. The class has what `GeneratorExtension` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from falconws_cli.change.plan import JsonValue, Piece, PlannedFile, Recipe, Requirements
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators.target import read_text
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.syntax import Import
from falconws_cli.source.wiring import Wiring, functions, media_handler, middleware, route
from falconws_cli.templating.rendering import render_trees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click

__all__ = [
    "GeneratorExtension",
    "Recipe",
    "Piece",
    "PlannedFile",
    "Requirements",
    "JsonValue",
    "Project",
    "read_text",
    "Name",
    "parse_name",
    "render_trees",
    "Import",
    "Wiring",
    "route",
    "middleware",
    "media_handler",
    "functions",
    "CommandError",
    "RefusedError",
]


class GeneratorExtension(Protocol):
    """A generator of another package. Its docstring is the help of its command."""

    @property
    def params(self) -> Sequence[click.Parameter]:
        """What the command takes besides NAME and the options that all generating commands have."""
        ...

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return what the user asks for: all that `make` needs, and nothing that JSON could not say.

        Args:
            project: Where it goes.
            name: What was typed; `parse_name` turns it into names of modules and classes.
            options: The values of `params`.

        Raises:
            RefusedError: It cannot be had as typed; the message is one line that says what to do.
        """
        ...

    def make(self, project: Project, recipe: Recipe) -> Piece:
        """Return the files of *recipe*, and what has to be done to the project's own files for them.

        It is called again for a recorded recipe, by `falconws upgrade`: the same recipe makes the same files, whether
        they are there already or not.

        Raises:
            CommandError: Something that it needs is missing; the message is one line that says what to do.
        """
        ...
