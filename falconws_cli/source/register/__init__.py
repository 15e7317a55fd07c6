"""Registrations: which statement and which import make a route, a middleware or a handler part of the app. Pure.

Source text goes in, source text comes out. Every function is idempotent, and where it finds no place that is surely
right it changes nothing and says which lines to add by hand. For each there is one that takes it back, with the same
arguments: what was registered in a text and taken back leaves the text as it was, byte for byte. Its argument *added*,
the `Registration.imports` of the time, makes that sure where an import that nothing used was there before.
"""

from falconws_cli.source.register.functions import append_functions, remove_functions
from falconws_cli.source.register.media_handlers import (
    media_handler_in,
    register_media_handler,
    unregister_media_handler,
)
from falconws_cli.source.register.middleware import register_middleware, unregister_middleware
from falconws_cli.source.register.result import Outcome, Registration, Removal, RemovalOutcome
from falconws_cli.source.register.route_reader import routes_in
from falconws_cli.source.register.routes import register_route, unregister_route

__all__ = [
    "Outcome",
    "Registration",
    "Removal",
    "RemovalOutcome",
    "append_functions",
    "media_handler_in",
    "register_media_handler",
    "register_middleware",
    "register_route",
    "remove_functions",
    "routes_in",
    "unregister_media_handler",
    "unregister_middleware",
    "unregister_route",
]
