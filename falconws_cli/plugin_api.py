"""What a package needs that adds a generator of its own: the names of this module, and nothing else, are for others.

The package names a class, or an object, in the entry-point group "falconws.generators"; the entry point's name is
the command's: "presence" is `falconws add-presence`. The class has what `GeneratorExtension` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from falconws_cli.change.plan import Generated, PlannedFile, Recipe, Requirements
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators.planning import read_text
from falconws_cli.generators.plugins import GeneratorExtension
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.python import Import
from falconws_cli.source.registration import JsonValue, RegistrationSpec, functions, media_handler, middleware, route
from falconws_cli.templating.rendering import render_trees

if TYPE_CHECKING:
    pass

__all__ = (
    "CommandError",
    "GeneratorExtension",
    "Import",
    "JsonValue",
    "Name",
    "Generated",
    "PlannedFile",
    "Project",
    "Recipe",
    "RefusedError",
    "Requirements",
    "RegistrationSpec",
    "functions",
    "media_handler",
    "middleware",
    "parse_name",
    "read_text",
    "render_trees",
    "route",
)
