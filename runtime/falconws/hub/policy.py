"""What happens to a subscriber that does not keep up. Pure: knows neither connections nor rooms.

A backlog holds what a subscriber could not take at once, within two bounds. The policy says what happens to the
message that would break a bound, and to those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .checks import check_count

__all__ = ("Policy",)

_MAX_MESSAGES = 256
_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a subscriber that does not keep up; made by the class methods, each named for what it does.

    What a connection cannot take at once waits in its backlog. The bounds hold for each subscription: *max_messages*
    messages and *max_bytes* bytes of payload (a message larger than that waits only alone). Who comes and who goes is
    bounded by the bytes alone: hundreds do at once when a service is restarted, and no client is slow because of that.
    What the server's own write buffer holds, 512 KiB at most, comes on top.
    """

    name: str
    """That of the class method."""
    max_messages: int
    max_bytes: int

    @property
    def drops(self) -> bool:
        """Whether a subscriber may miss messages and stay; otherwise it is disconnected when it would."""
        return self.name != "disconnect"

    def __post_init__(self) -> None:
        call = f"Policy.{self.name}"
        check_count(call, "max_messages", self.max_messages)
        check_count(call, "max_bytes", self.max_bytes)

    @classmethod
    def drop_oldest(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Drop what has waited longest: for feeds of which the latest matters."""
        return cls("drop_oldest", max_messages, max_bytes)

    @classmethod
    def drop_newest(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Drop what has just come: for those who must see an unbroken beginning."""
        return cls("drop_newest", max_messages, max_bytes)

    @classmethod
    def conflate(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Of messages with the same ``key``, keep the newest: for state, such as prices or positions on a map.

        It takes the place at the end, so that order is kept. Messages without a key stay; when a bound is reached all
        the same, what has waited longest is dropped.
        """
        return cls("conflate", max_messages, max_bytes)

    @classmethod
    def disconnect(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Close the connection with 1013 and the reason "client too slow": the client comes back with ``since=``.

        The default: with a history it is the policy that loses nothing.
        """
        return cls("disconnect", max_messages, max_bytes)
