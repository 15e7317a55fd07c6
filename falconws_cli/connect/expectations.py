"""What a script waits for: a message in so many words, or one that matches a pattern. Pure."""

import json
import re
from typing import Any

from falconws_cli.connect.messages import Message, media_of, plain
from falconws_cli.errors import RefusedError


class Expectation:
    """One --expect.

    `/PATTERN/` is a regular expression that is searched for; anything else is the whole message, or, when both are
    JSON, the same value however it is spaced and ordered. MessagePack is compared as JSON, other bytes are compared
    in hexadecimal.

    Raises:
        RefusedError: The pattern is no regular expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern: re.Pattern[str] | None = None
        self._value = _canonical(text)
        if len(text) > 2 and text.startswith("/") and text.endswith("/"):
            try:
                self._pattern = re.compile(text[1:-1])
            except re.error as error:
                raise RefusedError(f"--expect {text} is no regular expression: {error}.") from error

    def __str__(self) -> str:
        return f"that matches {self.text}" if self._pattern else f'"{self.text}"'

    def is_met_by(self, message: Message, *, scalars: bool = False) -> bool:
        """Return whether *message* is what was waited for."""
        shown = plain(message, scalars=scalars)
        if self._pattern is not None:
            return self._pattern.search(shown) is not None
        if self.text == shown:
            return True
        if media_of(message, scalars=scalars) is not None:
            return self._value is not None and _canonical(shown) == self._value
        return isinstance(message, bytes) and _from_hex(self.text) == message


def _canonical(text: str) -> str | None:
    """Return a JSON document in one spelling, None for what is none. 1, 1.0 and true are three values."""
    try:
        value: Any = json.loads(text)
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _from_hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
