"""The ASGI application under test: its type, the check that it is one, and the line at which its task waits.

Knows nothing of the protocols that are spoken with it.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import sysconfig
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

from falcon import CompatibilityError

__all__ = ("ASGIApp", "Event", "Receive", "Scope", "Send", "check_app", "check_timeout", "suspended_at")

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[..., Awaitable[None]]
"""Any ASGI application. Parameters have no types, because frameworks annotate them in incompatible ways."""

_MACHINERY = {"falcon", "falconws"}
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Folders of code that is not the application's own."""


def check_app(app: object) -> None:
    """Raise ``falcon.CompatibilityError`` unless *app* can be called with ``(scope, receive, send)``.

    Source: ASGI "Applications".
    """
    if not callable(app):
        raise CompatibilityError(f"Expected an ASGI application, got {app!r}.")
    try:
        signature = inspect.signature(app)
    except ValueError:
        # Some callables written in C have no signature; the first call shows whether they fit.
        return
    try:
        signature.bind(None, None, None)
    except TypeError:
        hint = " Is it a factory? Pass what it returns." if not signature.parameters else ""
        raise CompatibilityError(
            f"Expected an ASGI application, to be called with (scope, receive, send); {app!r} takes {signature}.{hint}"
        ) from None


def check_timeout(timeout: float) -> float:
    """Return *timeout*, in seconds. Raises ValueError unless it is more than 0."""
    if not timeout > 0:
        raise ValueError(f"The timeout is in seconds and must be more than 0, not {timeout!r}.")
    return timeout


def suspended_at(task: asyncio.Task[Any] | None) -> str:
    """Return where *task* waits, as ", at chat.py:17 in on_websocket: `await queue.get()`"; empty if unknown.

    That is the innermost line of the application's own code, not of an installed package.
    """
    found: FrameType | None = None
    coroutine = task.get_coro() if task is not None and not task.done() else None
    while isinstance(coroutine, CoroutineType):
        frame = coroutine.cr_frame
        if frame is not None and _is_own(frame):
            found = frame
        coroutine = coroutine.cr_await
    if found is None:
        return ""
    filename, line, name = found.f_code.co_filename, found.f_lineno, found.f_code.co_name
    source = linecache.getline(filename, line).strip()
    return f", at {Path(filename).name}:{line} in {name}" + (f": `{source}`" if source else "")


def _is_own(frame: FrameType) -> bool:
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    return package not in _MACHINERY and not frame.f_code.co_filename.startswith(_INSTALLED)
