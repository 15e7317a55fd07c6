"""The rooms of the application's hubs, as the page shows them: who is present, and the last messages.

Uses only the public methods of hubs. A room is found once this process follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..hub import BrokerUnavailable, Hub, Message

__all__ = ("Rooms",)

_MAX_ROOMS = 30
_MAX_MEMBERS = 50
_MESSAGES = 10
_MAX_CHARACTERS = 500


class Rooms:
    """The rooms that were followed since the console started: also those whose last client has left."""

    def __init__(self, hubs: Sequence[Hub]) -> None:
        self._hubs = hubs
        self._known: dict[tuple[int, str], None] = {}

    async def snapshot(self) -> list[dict[str, Any]]:
        """Return what the page shows of each room: those that were followed last come first."""
        for number, hub in enumerate(self._hubs):
            for room in hub.local_rooms:
                self._known.setdefault((number, room))
        for forgotten in list(self._known)[:-_MAX_ROOMS]:
            del self._known[forgotten]
        return [await _describe(self._hubs[number], room) for number, room in reversed(self._known)]


async def _describe(hub: Hub, room: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "hub": hub.name or "",
        "room": room,
        "present": [],
        "count": 0,
        "messages": [],
        "problem": "",
    }
    try:
        members = await hub.present(room)
        messages = await hub.history(room, limit=_MESSAGES)
    except BrokerUnavailable as error:
        return found | {"problem": str(error)}
    except RuntimeError as error:
        # The hub has not started, or has stopped.
        return found | {"problem": str(error)}
    return found | {
        "present": sorted(members)[:_MAX_MEMBERS],
        "count": len(members),
        "messages": [_text_of(message) for message in messages],
    }


def _text_of(message: Message) -> str:
    payload = message.payload
    text = payload if isinstance(payload, str) else f"{payload[:_MAX_CHARACTERS].hex(' ')} ({len(payload)} bytes)"
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
