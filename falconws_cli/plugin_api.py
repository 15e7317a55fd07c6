"""The public API for packages that add a generator. Other modules of falconws_cli are private.

A package registers a class or an object in the entry-point group "falconws.generators"; the name of the entry point is
that of the command: "presence" adds `falconws add-presence`. The class follows the protocol `GeneratorExtension`.
"""

from falconws_cli.change.plan import Generated, PlannedFile, Recipe, Requirements
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators.planning import read_text
from falconws_cli.generators.plugins import GeneratorExtension
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.python import Import
from falconws_cli.source.registration import JsonValue, RegistrationSpec, functions, media_handler, middleware, route
from falconws_cli.templating.rendering import render_trees

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
