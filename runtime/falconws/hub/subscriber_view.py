"""What applications see of a subscriber, and the positions from which it begins. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .position import Position, check_position
from .subscriber import Subscriber

__all__ = ("SubscriberView", "since_by_room")


class SubscriberView:
    """What applications see of a subscriber: its progress."""

    __slots__ = ("_subscriber",)

    _subscriber: Subscriber

    @property
    def positions(self) -> dict[str, Position]:
        """The position in each room: everything up to it was sent to the client, or dropped.

        After the end, the positions at the end.
        """
        return self._subscriber.positions

    @property
    def position(self) -> Position:
        """The position in the only room; for several rooms see ``positions``.

        Raises:
            RuntimeError: There is no room, or there are several.
        """
        positions = self.positions
        if not positions:
            raise RuntimeError("This subscription has no room yet, or none any more: there is no position.")
        if len(positions) != 1:
            raise RuntimeError(f"This subscription has {len(positions)} rooms: use positions[room].")
        (position,) = positions.values()
        return position

    @property
    def gap(self) -> bool:
        """Whether messages of any room are missing and the client should reload: the history does not reach back to
        ``since=``, or the broker has lost messages since."""
        return bool(self.gaps)

    @property
    def gaps(self) -> frozenset[str]:
        """The rooms for which ``gap`` is true."""
        return self._subscriber.gaps

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages of each room the policy has dropped; 0 for other rooms."""
        return self._subscriber.dropped

    @property
    def lag_s(self) -> float:
        """For how many seconds the next event has waited for the client; 0 if nothing waits."""
        return self._subscriber.lag_s


def since_by_room(rooms: Sequence[str], since: Position | Mapping[str, Position] | None) -> dict[str, Position | None]:
    """Return the position for each room.

    Raises:
        TypeError, ValueError: *since* does not fit the rooms.
    """
    if since is None:
        return dict.fromkeys(rooms)
    if isinstance(since, Position):
        check_position("since is a Position", since)
        if len(rooms) != 1:
            raise ValueError("One position is for one room: with several rooms, use since={room: position}.")
        return {rooms[0]: since}
    if not isinstance(since, Mapping):
        raise TypeError(f"since is a Position or a mapping of room to Position, not {type(since).__name__}.")
    for position in since.values():
        check_position("since has Positions", position)
    unknown = sorted(map(str, set(since) - set(rooms)))
    if unknown:
        raise ValueError(f"since names rooms that are not subscribed: {', '.join(unknown)}.")
    return {room: since.get(room) for room in rooms}
