"""Who is present in a room, in all processes, as applications see it. Members' infos are JSON on the way."""

from __future__ import annotations

from typing import Any

from .broker import Broker
from .info import decode_info
from .shared import Shared

__all__ = ("Roster",)


class Roster:
    """The members of rooms.

    Args:
        broker: Knows them.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shared: Shared[dict[str, Any]] = Shared()

    async def members(self, room: str) -> dict[str, Any]:
        """Return the info of each member, by name, as of a moment after the call.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """

        async def ask() -> dict[str, Any]:
            return {
                member: decode_info(room, member, info) for member, info in (await self._broker.members(room)).items()
            }

        return (await self._shared.ask(room, ask)).copy()
