"""Suggests similar names for a mistyped command, option value or route."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    # click is generic from 8.2 on only.
    _Choice = click.Choice


class Choice(_Choice):
    """A choice of words; the error for any other value suggests similar words, or lists all of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return *value* if it is one of the choices.

        Raises:
            RefusedError: It is not.
        """
        if value in self.choices:
            return str(value)
        from falconws_cli.errors import RefusedError

        hint = did_you_mean(str(value), self.choices) or f" {self._all()}"
        raise RefusedError(f'{_label(param)} cannot be "{value}".{hint}')

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the text that click adds to its message for a missing value."""
        return self._all()

    def _all(self) -> str:
        return f"Use {listed(self.choices)}."


def did_you_mean(typed: str, candidates: Iterable[str]) -> str:
    """Return ` Did you mean "...", "..." or "..."?` with up to three of *candidates*, or "" when none is similar.

    Case is ignored.
    """
    # Imported late: only failing commands need it.
    from difflib import get_close_matches

    spellings = {candidate.lower(): candidate for candidate in candidates}
    close = [f'"{spellings[match]}"' for match in get_close_matches(typed.lower(), spellings)]
    return f" Did you mean {listed(close)}?" if close else ""


def listed(words: Sequence[str], conjunction: str = "or") -> str:
    """Return the words as `a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def _label(param: click.Parameter | None) -> str:
    if isinstance(param, click.Option):
        return param.opts[0]
    return "This" if param is None else (param.name or "").upper()
