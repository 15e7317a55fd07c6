"""The importer: finds the ASGI app that "module:attribute" names. Knows nothing of servers."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from falconws.server.errors import StartError, TargetError


def load_application(target: str, *, factory: bool = False) -> Any:
    """Return the ASGI app that *target* names; if that is a factory, call it first.

    A callable that needs no arguments is a factory even if *factory* is False: an ASGI app cannot be called that way.

    Raises:
        TargetError: The target is malformed, does not exist, or is a WSGI app of Falcon.
        StartError: It cannot be imported, or its factory failed.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise TargetError(f'"{target}" does not name an app; write it as "module:attribute", as in "demo.app:app".')
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise TargetError(
                f'Cannot find the module "{module_name}" of "{target}"; run from the folder that contains it.'
            ) from error
        raise StartError(_describe(f'Cannot import "{module_name}"', error)) from error
    except Exception as error:
        raise StartError(_describe(f'Cannot import "{module_name}"', error)) from error
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise TargetError(f'"{module_name}" has no attribute "{attribute}"; check the target "{target}".') from None
    if factory or _needs_no_arguments(value):
        value = _call_factory(value, target)
    if _is_wsgi(value):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TargetError(
            f'"{target}" is a {kind}, not an ASGI app of Falcon: create it with falconws.App() or falcon.asgi.App(), '
            "whose responders are async."
        )
    return value


def _is_wsgi(value: object) -> bool:
    """Return whether it is certainly a WSGI app of Falcon, whose ASGI apps are a subclass of that."""
    # Whoever created one has imported these modules.
    wsgi, asgi = sys.modules.get("falcon.app"), sys.modules.get("falcon.asgi.app")
    return wsgi is not None and isinstance(value, wsgi.App) and not (asgi and isinstance(value, asgi.App))


def _call_factory(factory: Callable[[], Any], target: str) -> Any:
    try:
        return factory()
    except Exception as error:
        raise StartError(_describe(f'The factory "{target}" failed', error)) from error


def _needs_no_arguments(value: Any) -> bool:
    if not callable(value):
        return False
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    # An app may be a bare `def app(*args)`; only a callable that cannot take a scope is a factory.
    return all(p.default is not p.empty for p in parameters if p.kind not in variadic) and not any(
        p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters
    )


def _describe(what: str, error: Exception) -> str:
    """Return one line: what failed, the error, and the last line of the user's own code in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith("<") and Path(f.filename).resolve() != _HERE]
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}, line {error.lineno})"
    else:
        place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    # The text of a SyntaxError has the place too.
    said = error.msg if isinstance(error, SyntaxError) and place else str(error)
    return f"{what}: {type(error).__name__}: {' '.join(said.split()).rstrip('.')}{place}"


_HERE = Path(__file__).resolve()
