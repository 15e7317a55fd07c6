"""Which history limits hold for which room. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .broker import HistoryLimits

__all__ = ("HistoryRules", "RoomHistory", "check_history")


RoomHistory = HistoryLimits | Mapping[str, HistoryLimits]
"""Limits for all rooms; or a mapping of a room's name, or of a prefix that ends with ``*``, to limits."""


class HistoryRules:
    """The limits of an application: one for all rooms, or by name and prefix.

    Args:
        history: The limits. Of several names and prefixes, the longest one that fits counts; ``"*"`` fits all rooms.
            ``None``: nothing is said.
    """

    def __init__(self, history: RoomHistory | None) -> None:
        self._names: dict[str, HistoryLimits] = {}
        self._prefixes: dict[str, HistoryLimits] = {}
        self.is_given = history is not None
        """Whether the application has said anything."""
        if isinstance(history, HistoryLimits):
            history = {"*": history}
        for pattern, limits in (history or {}).items():
            if pattern.endswith("*"):
                self._prefixes[pattern[:-1]] = limits
            else:
                self._names[pattern] = limits
        # The longest prefix first.
        self._prefixes = dict(sorted(self._prefixes.items(), key=lambda pair: -len(pair[0])))
        default = self._prefixes.get("", HistoryLimits())
        everything = [default, *self._names.values(), *self._prefixes.values()]
        self.default = default
        """The limits of rooms that no name and no prefix fits."""
        self.largest = HistoryLimits(
            messages=max(limits.messages for limits in everything), age_s=max(limits.age_s for limits in everything)
        )
        """What has to be kept if all rooms are kept alike."""
        self.shortest_age_s = min(limits.age_s for limits in everything)

    def limits(self, room: str) -> HistoryLimits:
        """Return the limits for *room*."""
        if room in self._names:
            return self._names[room]
        for prefix, limits in self._prefixes.items():
            if room.startswith(prefix):
                return limits
        return self.default


def check_history(history: object) -> None:
    """Raise TypeError or ValueError unless *history* is what ``HistoryRules`` takes."""
    if history is None or isinstance(history, HistoryLimits):
        return
    if not isinstance(history, Mapping):
        raise TypeError(
            f"history is a HistoryLimits(messages=..., age_s=...), or a mapping of room to it, not "
            f"{type(history).__name__}."
        )
    for pattern, limits in history.items():
        if not isinstance(pattern, str) or not isinstance(limits, HistoryLimits):
            raise TypeError(f"history maps rooms, or prefixes such as 'chat:*', to HistoryLimits; not {pattern!r}.")
        if not pattern or "*" in pattern[:-1]:
            raise ValueError(f"history has {pattern!r}: use the name of a room, or a prefix that ends with '*'.")
