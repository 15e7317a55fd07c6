"""Quotas of a hub: how many rooms this process may use, and how much is kept and replayed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from falconws.errors import TemporarilyUnavailable

from .checks import check_count, check_seconds

__all__ = ("DEFAULT_LIMITS", "HubLimitReached", "HubLimits", "RoomQuota")


class HubLimitReached(TemporarilyUnavailable):
    """A limit of ``HubLimits`` does not allow another room; the message names the limit. Counted in ``hub.stats``.

    If the responder does not handle it, clients get a 503 response, and accepted WebSockets are closed with 1013.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Quotas of a hub in one process. ``None``: no limit.

    Rooms cost memory here and at the broker, and their names often come from clients.
    """

    rooms_per_connection: int | None = 1_000
    """How many rooms a subscription may follow."""
    rooms: int | None = 100_000
    """How many rooms the process may use, for all clients together: rooms that it follows, and rooms that it has left
    or published to within ``room_ttl_s``."""
    replay_bytes: int | None = 262_144
    """The most bytes of a room's history that are replayed to a client. A client that has missed more gets a ``Gap``,
    and then the newest messages that fit."""
    room_ttl_s: float = 3600.0
    """Seconds for which a broker remembers a room that nobody follows or publishes to. A client that comes back later
    gets a ``Gap``. If twice the age of the history is longer, that applies."""
    history_bytes: int | None = 268_435_456
    """The most bytes that ``memory://`` keeps for the histories of all rooms; a message counts for its payload and 256
    bytes more. The rooms in which nothing was published for longest lose their oldest messages first, which
    ``health()`` reports. Other brokers have limits of their own."""

    def __post_init__(self) -> None:
        for name in ("rooms_per_connection", "rooms", "replay_bytes", "history_bytes"):
            count = getattr(self, name)
            if count is not None:
                check_count("HubLimits", name, count)
        check_seconds("HubLimits", "room_ttl_s", self.room_ttl_s)


DEFAULT_LIMITS = HubLimits()


class RoomQuota:
    """The rooms that this process uses without following them, and whether it may use another one.

    Args:
        limits: What is allowed.
    """

    def __init__(self, limits: HubLimits) -> None:
        self._limits = limits
        self._used: dict[str, float] = {}
        """When each room was left or published to, the least recently used one first."""

    def use(self, room: str, followed: int, now: float, *, refused: str) -> None:
        """Record that *room* is used, which is not one of the followed rooms.

        Args:
            room: Its name.
            followed: How many rooms are followed.
            now: In seconds.
            refused: What cannot be done with one room too many, for the error message.

        Raises:
            HubLimitReached: The process uses too many rooms.
        """
        if self._limits.rooms is None:
            return
        if self._used.pop(room, None) is None:
            self._forget_unused(now)
            if followed + len(self._used) >= self._limits.rooms:
                raise HubLimitReached(
                    f"Room {room!r} is not {refused}: this process follows {followed} rooms, has used "
                    f"{len(self._used)} others within {self._limits.room_ttl_s:g} s, and HubLimits(rooms=...) allows "
                    "no more."
                )
        self._used[room] = now

    def follow(self, room: str) -> None:
        """Record that *room* is followed from now on, and so counted elsewhere."""
        self._used.pop(room, None)

    def leave(self, room: str, now: float) -> None:
        """Record that *room* is no longer followed."""
        if self._limits.rooms is not None:
            self._used.pop(room, None)
            self._used[room] = now

    def _forget_unused(self, now: float) -> None:
        while self._used:
            room, since = next(iter(self._used.items()))
            if since > now - self._limits.room_ttl_s:
                return
            del self._used[room]
