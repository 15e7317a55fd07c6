"""Quotas of a hub: how many rooms clients may follow, and how much is replayed to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from falconws.errors import TemporarilyUnavailable

from .checks import check_count

__all__ = ("HubLimitReached", "HubLimits")


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
    rooms: int | None = None
    """How many rooms the process may follow at the same time, for all clients together."""
    replay_bytes: int | None = None
    """How many bytes of a room's history are replayed to a client at most. A client that has missed more gets the
    newest messages that fit, and a ``Gap`` before them."""

    def __post_init__(self) -> None:
        for name in ("rooms_per_connection", "rooms", "replay_bytes"):
            count = getattr(self, name)
            if count is not None:
                check_count("HubLimits", name, count)
