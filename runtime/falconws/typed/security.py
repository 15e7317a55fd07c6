"""What a client needs to authenticate, as AsyncAPI's security schemes: what the middleware of an app declares.

A middleware declares it with an attribute ``security_schemes``, a mapping of Security Scheme Objects by name. One of
the schemes of an application is enough to open a WebSocket. Must not know conversations.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0#securitySchemeObject
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..app import middleware_of

if TYPE_CHECKING:
    from ..app import App

__all__ = ("describe_security", "security_schemes_of")

_NAME = re.compile(r"[\w.-]+")

_Schemes = dict[str, dict[str, Any]]


def security_schemes_of(app: App[Any, Any]) -> _Schemes:
    """Return the security schemes that the middleware of *app* declares, by name.

    Raises:
        TypeError: A declaration is not a mapping of mappings, each with a ``type``, or two differ under one name.
    """
    found: _Schemes = {}
    for middleware in middleware_of(app):
        declared = getattr(middleware, "security_schemes", None)
        if declared is None:
            continue
        owner = type(middleware).__name__
        if not isinstance(declared, Mapping):
            raise TypeError(f"{owner}.security_schemes is not a mapping of schemes by name: {declared!r}.")
        for name, scheme in declared.items():
            if not (isinstance(name, str) and _NAME.fullmatch(name) and isinstance(scheme, Mapping)):
                raise TypeError(f"{owner}.security_schemes: {name!r}: {scheme!r} is not a name and a scheme.")
            if not isinstance(scheme.get("type"), str):
                raise TypeError(f'{owner}.security_schemes[{name!r}] has no "type", such as "http" or "httpApiKey".')
            if found.setdefault(name, dict(scheme)) != scheme:
                raise TypeError(f"Two middleware classes declare different security schemes called {name!r}.")
    return found


def describe_security(scheme: Mapping[str, Any]) -> str:
    """Return in a few words what a client sends for *scheme*."""
    match scheme:
        case {"type": "http", "scheme": "bearer"}:
            return "the header `Authorization: Bearer TOKEN`"
        case {"type": "http", "scheme": str(kind)}:
            return f"the header `Authorization`, with the scheme {kind}"
        case {"type": "httpApiKey", "in": "cookie", "name": name}:
            return f"the cookie `{name}`"
        case {"type": "httpApiKey", "in": place, "name": name}:
            return f"the {place} parameter `{name}`" if place == "query" else f"the {place} `{name}`"
    return str(scheme["type"])
