"""Checks of arguments where they are given: one line that says what is wrong, instead of a later error.

Pure. Checks of positions are in ``position.py``.
"""

from __future__ import annotations

from inspect import iscoroutinefunction

__all__ = ("check_count", "check_function", "check_id", "check_name", "check_seconds")

_MAX_NAME_BYTES = 255
_MAX_ID = 64

_MAX_SECONDS = 10 * 365 * 24 * 3600
"""Ten years: brokers count in microseconds and nanoseconds, and their integers are limited."""


def check_name(what: str, name: str) -> None:
    """Raise TypeError or ValueError unless *name* can be the name of a *what*, such as a "room"."""
    if not isinstance(name, str):
        raise TypeError(f"The name of a {what} is a str, not {type(name).__name__}.")
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        # A lone surrogate; JSON can contain one.
        size = 0
    if name.startswith("\0"):
        raise ValueError(f"The name of a {what} does not begin with a NUL character: those are the hub's own.")
    if not 0 < size <= _MAX_NAME_BYTES:
        raise ValueError(f"The name of a {what} has 1 to {_MAX_NAME_BYTES} bytes of UTF-8.")


def check_id(what: str, text: str) -> None:
    """Raise TypeError or ValueError unless the argument *what* can be the id of a subscription."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is the id of a Subscription, not {type(text).__name__}.")
    # It goes into headers and protocols that a client must not break.
    if not (text.isascii() and text.isalnum() and len(text) <= _MAX_ID):
        raise ValueError(f"{what} is the id of a Subscription: letters and digits.")


def check_seconds(call: str, name: str, seconds: object, *, or_zero: bool = False) -> None:
    """Raise TypeError or ValueError unless the argument *name* of *call* is a usable number of seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{call}({name}={seconds!r}): use a number of seconds.")
    # Written so that nan fails.
    if not (seconds > 0 or (or_zero and seconds == 0)):
        wanted = "0 or more seconds" if or_zero else "a positive number of seconds"
        raise ValueError(f"{call}({name}={seconds!r}): use {wanted}.")
    if seconds > _MAX_SECONDS:
        raise ValueError(f"{call}({name}={seconds!r}): use at most {_MAX_SECONDS} seconds, which are ten years.")


def check_count(call: str, name: str, count: object, *, least: int = 1, most: int | None = None) -> None:
    """Raise TypeError or ValueError unless the argument *name* of *call* is a whole number from *least* to *most*."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{call}({name}={count!r}): use a whole number.")
    if count < least:
        raise ValueError(f"{call}({name}={count!r}): use {least} or more.")
    if most is not None and count > most:
        raise ValueError(f"{call}({name}={count!r}): use at most {most}.")


def check_function(name: str, function: object, takes: str) -> None:
    """Raise TypeError unless *function* can be called and is not a coroutine function."""
    if (
        not callable(function)
        or iscoroutinefunction(function)
        or iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004 (whether it is one, not whether)
    ):
        raise TypeError(f"{name} is a function that takes {takes}, and not a coroutine function.")
