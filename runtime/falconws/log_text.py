"""Input in log lines: what a client sends is escaped, cut to a length, and stripped of secrets (CWE-117).

Knows nothing of connections or of what is logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

__all__ = ("REDACTED_NAMES", "InputFilter", "describe_client", "escape_for_log", "redact_query")

REDACTED_NAMES = ("token", "access_token")
"""Parameters of a query that are masked unless others are named."""

_MAX_CHARACTERS = 200
"""The limit for one value: a line of 1 kB has room for several. Escaped characters count as they are written."""
_MAX_ARGUMENT_CHARACTERS = 850
"""The limit for one argument of a line, which has at most 1 kB."""


def escape_for_log(value: object, max_characters: int = _MAX_CHARACTERS) -> str:
    """Return *value* as text without line breaks, control characters, or others that cannot be printed.

    They are written as in Python's literals: ``\\n``, ``\\x1b``. What is longer than *max_characters* is cut.
    """
    text = str(value)
    if text.isascii() and text.isprintable() and len(text) <= max_characters:
        return text
    escaped: list[str] = []
    left = max_characters
    for character in text[:max_characters]:
        written = character if character.isprintable() else character.encode("unicode_escape").decode()
        # Counted as bytes of UTF-8, which a line is limited to.
        left -= len(written) if written.isascii() else len(written.encode())
        if left < 0:
            break
        escaped.append(written)
    cut = len(text) - len(escaped)
    return "".join(escaped) + (f"... ({cut} more characters)" if cut else "")


def describe_client(client: Any) -> str:
    """Return the address and the port in ``scope["client"]``; ``"unknown"`` for None, as on a Unix socket."""
    # A proxy's header may have set the address to any text.
    return f"{escape_for_log(client[0], 64)}:{client[1]}" if client else "unknown"


def redact_query(text: str, names: tuple[str, ...] = REDACTED_NAMES) -> str:
    """Return *text*, a URL or a query, with the values of the parameters *names* replaced by ``***``."""
    return _secrets(names).sub(r"\1***", text) if names and ("=" in text or "%3" in text) else text


@lru_cache(maxsize=8)
def _secrets(names: tuple[str, ...]) -> re.Pattern[str]:
    # A name may itself be percent-encoded, in part or as a whole.
    alternatives = "|".join(
        "".join(f"(?:{re.escape(character)}|%{ord(character):02x})" for character in name) for name in names
    )
    # The URL may itself be encoded, as a parameter of another one. Only "&" ends a value: Falcon takes the rest for it.
    start, equals = r"(?:^|[?&;\s\"']|%26|%3b|%3f)", "(?:=|%3d)"
    return re.compile(rf"(?i)({start}(?:{alternatives}){equals})[^&\s]*")


class InputFilter(logging.Filter):
    """Escapes and cuts the texts in a record, and masks secrets in their URLs; for handlers of a server process.

    Args:
        redact: Names of parameters whose values are masked.
    """

    def __init__(self, redact: Iterable[str] = REDACTED_NAMES) -> None:
        super().__init__()
        self._redact = tuple(redact)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the arguments of *record*; let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(self._clean(argument) for argument in record.args)
        elif record.args:
            record.args = {name: self._clean(argument) for name, argument in record.args.items()}
        return True

    def _clean(self, argument: object) -> object:
        if not isinstance(argument, str):
            return argument
        return escape_for_log(redact_query(argument, self._redact), _MAX_ARGUMENT_CHARACTERS)
