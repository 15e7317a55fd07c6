"""What may be the name of a room or a member; every broker can take such names."""

from __future__ import annotations

__all__ = ("check_name",)

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
