"""The check of response headers: nothing in a name or a value may end a line.

Knows nothing of requests, responses or connections.

Source: RFC 9110 sections 5.1 and 5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ("check_headers",)

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_VALUE = re.compile(rb"[\r\n\0]")


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise ValueError unless each name is a token, and no value has a line break or NUL."""
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name.decode('latin-1')!r} is not the name of a header: it must be a token.")
        if _NOT_IN_VALUE.search(value) is not None:
            shown = value.decode("latin-1")
            raise ValueError(f"The header {name.decode()} has a line break or NUL in its value, {shown!r}.")
