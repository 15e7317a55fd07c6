"""The errors of typed conversations.

    ValueError
    +-- InvalidMessageError     a payload is not a message of the conversation; the peer is at fault
    Exception
    +-- CallError               a call was not answered with a reply; raised on the client's side

Neither implies a close code: the conversation goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .messages import Error

__all__ = ("CallError", "InvalidMessageError")


class CallError(Exception):
    """A call was not answered with a reply.

    Attributes:
        code: A code of the conversation's ``errors``, one of "invalid_message", "unknown_type", "not_a_message", or
            "timeout"; or "disconnected", if it is not known whether the call was carried out.
        answer: The ``Error`` of the server; None if it has not answered.
    """

    def __init__(self, code: str, message: str, answer: Error | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.answer = answer


class InvalidMessageError(ValueError):
    """A payload is not a message of the conversation.

    Attributes:
        code: "not_a_message" (no JSON object with a "type"), "unknown_type" or "invalid_message".
        message: What is wrong, for people.
        path: Where in the message, such as ``$.text``; None if that is not known.
        received: The "type" of the message; None if it had none.
        call_id: The "id" of the call; None if it had none.
    """

    def __init__(
        self, code: str, message: str, path: str | None, received: str | None = None, call_id: int | str | None = None
    ) -> None:
        super().__init__(message if path is None else f"{path}: {message}")
        self.code = code
        self.message = message
        self.path = path
        self.received = received
        self.call_id = call_id
