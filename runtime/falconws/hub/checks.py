"""What arguments are held to where they are given: one line that says what is wrong, not another error later.

Pure. Names of rooms and members have ``names.py``, positions ``position.py``.
"""

from __future__ import annotations

from inspect import iscoroutinefunction

__all__ = ("check_count", "check_function", "check_name", "check_seconds")

_MAX_BYTES = 255


def check_name(what: str, name: str) -> None:
    """Raise TypeError or ValueError unless *name* can be that of a *what*, such as a "room"."""
    if not isinstance(name, str):
        raise TypeError(f"The name of a {what} is a str, not {type(name).__name__}.")
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        # A lone surrogate, such as JSON may have.
        size = 0
    if not 0 < size <= _MAX_BYTES:
        raise ValueError(f"The name of a {what} has 1 to {_MAX_BYTES} bytes of UTF-8.")


_LONGEST_S = 10 * 365 * 24 * 3600
"""Ten years. The brokers count in microseconds and nanoseconds, and their numbers end."""


def check_seconds(call: str, name: str, seconds: float, *, or_zero: bool = False) -> None:
    """Raise TypeError or ValueError unless the argument *name* of *call* is a time that can be waited for."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{call}({name}={seconds!r}): use a number of seconds.")
    # Not the other way round: nan is neither.
    if not (seconds > 0 or (or_zero and seconds == 0)):
        wanted = "0 or more seconds" if or_zero else "a positive number of seconds"
        raise ValueError(f"{call}({name}={seconds!r}): use {wanted}.")
    if seconds > _LONGEST_S:
        raise ValueError(f"{call}({name}={seconds!r}): use {_LONGEST_S} seconds at most, which are ten years.")


def check_count(call: str, name: str, count: int, *, least: int = 1, most: int | None = None) -> None:
    """Raise TypeError or ValueError unless the argument *name* of *call* is a number of things."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{call}({name}={count!r}): use a whole number.")
    if count < least:
        raise ValueError(f"{call}({name}={count!r}): use {least} or more.")
    if most is not None and count > most:
        raise ValueError(f"{call}({name}={count!r}): use {most} at most.")


def check_function(name: str, function: object, takes: str) -> None:
    """Raise TypeError unless *function* can be called, and has done its work when it returns."""
    if (
        not callable(function)
        or iscoroutinefunction(function)
        or iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004 (whether it is one, not whether)
    ):
        raise TypeError(f"{name} is a function that takes {takes}, and not a coroutine function.")
