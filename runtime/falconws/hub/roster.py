"""Who is present in a room, in all processes, as applications see it. Members' infos are JSON on the way."""

from __future__ import annotations

import json
import logging
from typing import Any

from .broker import Broker
from .shared import Shared

__all__ = ("Roster",)

_logger = logging.getLogger("falconws.hub")


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
            return {member: _decode(room, member, info) for member, info in (await self._broker.members(room)).items()}

        return (await self._shared.ask(room, ask)).copy()


def _decode(room: str, member: str, info: bytes) -> Any:
    if info == b"null":
        return None
    try:
        return json.loads(info)
    except ValueError:
        # Somebody else's program has written it.
        _logger.warning("The info of member %r of room %r is not JSON", member, room)
        return None
