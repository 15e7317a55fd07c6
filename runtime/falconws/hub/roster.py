"""Who is present in a room, asked of the broker once for all who ask while an answer is on its way.

When a server comes back, every client of a large room asks, and each answer names all the others.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from weakref import WeakValueDictionary

from .broker import Broker

__all__ = ("Roster",)


class Roster:
    """The members of rooms, in all processes.

    Args:
        broker: Knows them.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._questions: WeakValueDictionary[str, _Question] = WeakValueDictionary()

    async def members(self, room: str) -> dict[str, Any]:
        """Return the info of each member, by name, as of a moment after the call.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        question = self._questions.get(room)
        if question is None:
            question = self._questions[room] = _Question()
        begun = question.begun
        async with question.lock:
            # What was asked before this call may miss who has come in between.
            if question.answered <= begun:
                await self._ask(room, question)
        if question.problem is not None:
            raise question.problem
        return question.members.copy()

    async def _ask(self, room: str, question: _Question) -> None:
        question.begun += 1
        try:
            members = await self._broker.members(room)
            question.members = {
                member: None if info == b"null" else json.loads(info) for member, info in members.items()
            }
            question.problem = None
        except Exception as error:
            question.problem = error
        # Not when it was cancelled, which is nothing to the others: the next of them asks.
        question.answered = question.begun


class _Question:
    __slots__ = ("__weakref__", "answered", "begun", "lock", "members", "problem")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.begun = 0
        """How often it was asked."""
        self.answered = 0
        """The number of the one that was answered last."""
        self.members: dict[str, Any] = {}
        self.problem: Exception | None = None
