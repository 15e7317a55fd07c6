"""The check of response headers: what is sent is the same on every server, and nothing in it ends a line.

Knows nothing of requests, responses or connections.

Source: RFC 9110 sections 5.1 and 5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ("clean_headers",)

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def clean_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return *headers* as every server can send them: without whitespace around the values.

    Raises:
        ValueError: A name is not a token, or a value has a control character other than a tab.
    """
    cleaned = []
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name.decode('latin-1')!r} is not the name of a header: it must be a token.")
        if _NOT_IN_VALUE.search(value) is not None:
            shown = value.decode("latin-1")
            raise ValueError(f"The header {name.decode()} has a control character in its value, {shown!r}.")
        cleaned.append((name, value.strip(b" \t")))
    return cleaned
