"""Text from outside for log lines: without control characters, short, and without secrets.

Knows nothing of loggers. Source: CWE-117, CWE-532.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

__all__ = ("escape_for_log", "redact_url")

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"  # Also bidirectional marks.
)
_SEPARATORS = re.compile("([?&;])")


def escape_for_log(value: object, limit: int = 1024) -> str:
    """Return *value* as text of at most *limit* characters in which each control character is escaped.

    bytes are taken for Latin-1, as in HTTP headers.
    """
    text = value.decode("latin-1") if isinstance(value, bytes | bytearray) else str(value)
    if len(text) > limit:
        text = text[: limit + 1]
    if not text.isascii() or not text.isprintable():
        text = _UNSAFE.sub(_escape, text)
    return text if len(text) <= limit else f"{text[: max(0, limit - 3)]}..."


def redact_url(url: str, names: Collection[str]) -> str:
    """Return *url* with "***" for the value of each query parameter that is one of *names*, in lower case."""
    path, question_mark, query = url.partition("?")
    if not question_mark:
        return url
    parts = _SEPARATORS.split(query)
    for index in range(0, len(parts), 2):
        name, equals, _ = parts[index].partition("=")
        if equals and unquote_plus(name).strip().lower() in names:
            parts[index] = f"{name}=***"
    return f"{path}?{''.join(parts)}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
