"""A position in the sequence of messages of a room. Pure; knows neither brokers nor connections."""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ("BEGINNING", "Position", "check_position")

_MAX_EPOCH_CHARACTERS = 64
_MAX_OFFSET = 2**63 - 1
_OFFSET_DIGITS = len(str(_MAX_OFFSET))


class Position(NamedTuple):
    """The position of a message in its room: everything up to *offset* has been seen.

    ``str(position)`` is text that a client keeps and sends when it reconnects; ``Position.parse()`` reads it. Clients
    treat it as opaque.
    """

    epoch: str
    """Names the sequence. It changes when the broker has lost its data; offsets of different epochs cannot be
    compared."""

    offset: int
    """Grows with every message of the room; 0 is before the first."""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position of which ``str()`` has made *text*.

        Raises:
            ValueError: *text* is not a position. It may come from a client, so the error does not repeat it.
            TypeError: *text* is not a ``str``.
        """
        if not isinstance(text, str):
            raise TypeError(f"Position.parse() takes a str, made by str(position), not {type(text).__name__}.")
        epoch, colon, digits = text.rpartition(":")
        if not (colon and 0 < len(epoch) <= _MAX_EPOCH_CHARACTERS and epoch.isascii() and epoch.isprintable()):
            raise ValueError("Not a position: expected 'epoch:offset', as sent by the server.")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _OFFSET_DIGITS):
            raise ValueError("Not a position: the offset is not a number, or too large.")
        offset = int(digits)
        if offset > _MAX_OFFSET:
            raise ValueError("Not a position: the offset is not a number, or too large.")
        return cls(epoch, offset)


BEGINNING = Position("", 0)
"""A position of no epoch: a broker returns all that it keeps after it."""


def check_position(what: str, position: Position) -> None:
    """Raise TypeError or ValueError unless *position* is a Position with a possible epoch and offset."""
    if not isinstance(position, Position):
        raise TypeError(f"{what}, see Position.parse(), not {type(position).__name__}.")
    epoch, offset = position
    if not isinstance(epoch, str) or not isinstance(offset, int) or isinstance(offset, bool):
        kinds = f"{type(epoch).__name__} and {type(offset).__name__}"
        raise TypeError(f"{what}, with a str and an int, not {kinds}: make it with Position.parse().")
    if not epoch.isascii() or not 0 <= offset <= _MAX_OFFSET:
        raise ValueError(f"{what} made by the hub: make it with Position.parse().")
