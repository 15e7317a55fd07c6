"""Registrations: the statement and the imports that make a route, a middleware or a handler part of the app.

Every function is idempotent. When it is not certain where the statement belongs, the function changes nothing and
returns the lines to add by hand. Each has a counterpart that removes the registration, with the same arguments and
byte for byte: pass the `RegisterResult.imports` of the registration as *added*, so that an unused import that was
there before stays. Pure; must not know the file system or the generators.

A command needs few of the kinds: their modules are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from falconws.lazy_names import lazy_names

if TYPE_CHECKING:
    from falconws_cli.source.register.functions import append_functions, remove_functions
    from falconws_cli.source.register.hunks import apply_hunks, revert_hunks
    from falconws_cli.source.register.media_handlers import (
        media_handler_in,
        register_media_handler,
        unregister_media_handler,
    )
    from falconws_cli.source.register.middleware import register_middleware, unregister_middleware
    from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult
    from falconws_cli.source.register.route_reader import routes_in
    from falconws_cli.source.register.routes import register_route, unregister_route
    from falconws_cli.source.register.settings import (
        register_row,
        register_setting,
        register_variable,
        unregister_row,
        unregister_setting,
        unregister_variable,
    )

__all__ = [
    "RegisterOutcome",
    "RegisterResult",
    "UnregisterResult",
    "UnregisterOutcome",
    "append_functions",
    "apply_hunks",
    "media_handler_in",
    "register_media_handler",
    "register_middleware",
    "register_route",
    "register_row",
    "register_setting",
    "register_variable",
    "remove_functions",
    "revert_hunks",
    "routes_in",
    "unregister_media_handler",
    "unregister_middleware",
    "unregister_route",
    "unregister_row",
    "unregister_setting",
    "unregister_variable",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "functions": ("append_functions", "remove_functions"),
        "hunks": ("apply_hunks", "revert_hunks"),
        "media_handlers": ("media_handler_in", "register_media_handler", "unregister_media_handler"),
        "middleware": ("register_middleware", "unregister_middleware"),
        "result": ("RegisterOutcome", "RegisterResult", "UnregisterOutcome", "UnregisterResult"),
        "route_reader": ("routes_in",),
        "routes": ("register_route", "unregister_route"),
        "settings": (
            "register_row",
            "register_setting",
            "register_variable",
            "unregister_row",
            "unregister_setting",
            "unregister_variable",
        ),
    },
)
