"""A typed conversation: the declaration of its messages, and what a responder gets in place of a bare WebSocket.

The responder owns the loop: messages are handled in order, and a responder that is busy slows its client down. A
payload that is not a message of the conversation is answered with an ``Error`` and skipped. Knows the WebSocket and the
hub by their public methods; they do not know it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin, overload

import falcon
import msgspec

from ..closecodes import CloseCode
from ..errors import WebSocketDisconnected
from ..hub.events import Ephemeral, Event
from ..hub.events import Gap as HubGap
from ..hub.events import Joined as HubJoined
from ..hub.events import Left as HubLeft
from ..hub.events import Message as HubMessage
from ..hub.position import Position
from ..log_throttle import LogThrottle
from .codec import Codec, kind_of, message_types, with_id
from .errors import InvalidMessageError
from .kinds import DECODE_ERRORS, Payload
from .messages import AnyCall, CallMixin, Error, Gap, Joined, Left, has_id

if TYPE_CHECKING:
    import asyncio

    from ..connection_events import Headers
    from ..hub import Hub, Publisher, Subscription
    from ..request import Request
    from ..tasks import TaskScope
    from ..websocket import WebSocket

__all__ = ("Conversation",)

R = TypeVar("R")
In = TypeVar("In")
Out = TypeVar("Out")
Q = TypeVar("Q")

_MAX_ERROR_BYTES = 500
"""The largest ``Error`` for an invalid message, so that garbage is not answered with more garbage."""
_MAX_TEXT = 120
_MAX_PATH = 80
_MAX_TYPE = 40
_MAX_LOGGED = 500
"""Rooms and types of invalid messages that are told apart in the log; further ones are not logged."""

_logger = logging.getLogger("falconws")
_throttle = LogThrottle(_logger)


class Conversation(Generic[In, Out]):
    """One connection that speaks the messages *In* (from the client) and *Out* (to the client).

    Subclass it directly to declare a conversation; ``@speaks`` passes the responder an instance for its connection::

        class Chat(Conversation[Say | Typing, Welcome | Said | Joined | Left | Gap]):
            \"\"\"People in a room hear each other.\"\"\"

    The rest of the contract are class attributes.
    """

    subprotocol: ClassVar[str | None] = None
    """The WebSocket subprotocol that stands for this conversation and its version; None needs none."""
    query: ClassVar[type | None] = None
    """The type of the handshake's query; a query that does not fit is refused with 400 before the responder runs."""
    close_codes: ClassVar[Mapping[int, str]] = {}
    """The application's close codes (4000 to 4999) and their meaning. Clients do not reconnect after them."""
    errors: ClassVar[Mapping[str, str]] = {}
    """The codes that ``reject()`` sends, and their meaning."""
    max_invalid: ClassVar[int] = 20
    """A client that sends more invalid messages in a row is disconnected with 1007."""

    received: ClassVar[Codec]
    """Decodes what clients send."""
    sent: ClassVar[Codec]
    """Encodes what clients are sent."""
    _logged: ClassVar[set[tuple[str, str, str | None]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._logged = set()
        declared = [base for base in cls.__dict__.get("__orig_bases__", ()) if get_origin(base) is Conversation]
        if declared:
            incoming, outgoing = map(message_types, get_args(declared[0]))
            if any(isinstance(each, TypeVar) for each in (*incoming, *outgoing)):
                raise TypeError(f"{cls.__name__}: name the messages, as in Conversation[Say, Said | Gap].")
            cls.received = Codec(cls.__name__, incoming)
            cls.sent = Codec(cls.__name__, (*outgoing, Error))
            for each in incoming:
                if issubclass(each, CallMixin) and not has_id(each):
                    raise TypeError(f"{each.__name__} has no id: give it a field `id: int | str | None = None`.")
        elif not hasattr(cls, "received"):
            raise TypeError(
                f"{cls.__name__}: subclass Conversation[...] directly, with the messages of both directions."
            )

    def __init__(self, ws: WebSocket, req: Request) -> None:
        self.ws = ws
        """The connection itself, for what is not typed."""
        self._req = req
        # Looked up for every message: an attribute of the instance is found faster than one of its class.
        self._encoders = self.sent.encoders
        self._invalid = 0
        self._warned = False

    # The connection

    async def accept(self, headers: Headers | None = None) -> None:
        """Complete the handshake with the conversation's subprotocol; see ``WebSocket.accept()``."""
        await self.ws.accept(self.subprotocol, headers)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection; the default reason of a code in ``close_codes`` is its meaning."""
        if reason is None and code is not None:
            reason = self.close_codes.get(code)
        await self.ws.close(code, reason)

    def task_scope(self) -> TaskScope:
        """See ``WebSocket.task_scope()``."""
        return self.ws.task_scope()

    async def wait_disconnected(self) -> None:
        """See ``WebSocket.wait_disconnected()``."""
        await self.ws.wait_disconnected()

    @property
    def going_away(self) -> asyncio.Event:
        """See ``WebSocket.going_away``."""
        return self.ws.going_away

    @property
    def client(self) -> str:
        """The peer's address and port, for logs."""
        return self.ws.client

    @property
    def closed(self) -> bool:
        """True once the connection is closed or lost."""
        return self.ws.closed

    @property
    def close_code(self) -> int | None:
        """The close code once the connection is over, None before."""
        return self.ws.close_code

    @property
    def close_reason(self) -> str | None:
        """The close reason once the connection is over, None before."""
        return self.ws.close_reason

    def read_query(self, query_type: type[Q]) -> Q:
        """Return the query of the handshake as an instance of *query_type*.

        Raises:
            falcon.HTTPBadRequest: It does not fit; the response names the field.
        """
        try:
            converted: Q = kind_of(query_type).convert(self._req.params, query_type)
        except DECODE_ERRORS as error:
            text, path = kind_of(query_type).explain(error)
            field = "" if path is None else f" {path.removeprefix('$').removeprefix('.')!r}"
            raise falcon.HTTPBadRequest(
                title="Invalid query", description=f"The query parameter{field} is not valid: {text}."
            ) from error
        return converted

    # Sending

    def send(self, message: Out) -> Coroutine[Any, Any, None]:
        """Send *message*. Await it.

        Raises:
            TypeError: It is not one of the messages that the conversation declares.

        Further errors are those of ``WebSocket.send_text()``.
        """
        # The coroutine of the WebSocket itself, not another one around it; and Codec.encode() without its call.
        return self.ws.send_text(self._encoders[type(message)](message).decode())

    async def reply(self, call: AnyCall[R], message: R) -> None:
        """Answer *call* with a copy of *message* that has the ``id`` of the call."""
        await self.ws.send_text(self.sent.encode(with_id(message, call.id)))

    async def reject(self, call: AnyCall[Any] | None, code: str, message: str | None = None) -> None:
        """Answer *call*, or a message that is no call (None), with an ``Error``.

        Args:
            call: Its ``id`` is copied.
            code: One of ``errors``, or of your own.
            message: For people; the default is the meaning of the code in ``errors``.
        """
        text = self.errors.get(code, code) if message is None else message
        await self.ws.send_text(self.sent.encode(Error(code, text, None if call is None else call.id)))

    # Receiving

    def __aiter__(self) -> AsyncIterator[In]:
        """Iterate over the messages of the client until it leaves."""
        return self.ws.iter_decoded(self.received.decode, self._refuse)

    async def receive(self, timeout: float | None = None) -> In:
        """Return the next message of the client; what is not a message is answered with an ``Error`` and skipped.

        Args:
            timeout: Seconds to wait at most for a payload; None waits for as long as it takes.

        Raises:
            TimeoutError: No payload came in time.
            WebSocketDisconnected: The connection is over.
        """
        while True:
            payload = await self.ws.receive_payload(timeout)
            try:
                if not isinstance(payload, str):
                    raise ValueError
                message: In = self.received.decode(payload)
            except DECODE_ERRORS as error:
                self._invalid += 1
                await self._refuse(payload, error, self._invalid)
            else:
                self._invalid = 0
                return message

    async def _refuse(self, payload: Payload, error: Exception, in_a_row: int) -> None:
        if not isinstance(error, DECODE_ERRORS) and isinstance(payload, str):
            raise error
        invalid = self.received.explain(payload, error)
        if not self._warned:
            self._warned = True
            _logger.warning(
                "%s - WebSocket %s: invalid message: %s", self.client, type(self).__name__, ascii(str(invalid)[:200])
            )
        if in_a_row > self.max_invalid:
            await self.ws.close(CloseCode.INVALID_PAYLOAD, "too many invalid messages")
            raise WebSocketDisconnected(CloseCode.INVALID_PAYLOAD, "too many invalid messages")
        await self.ws.send_text(_error_text(invalid))

    # Rooms

    @overload
    @classmethod
    def publish(
        cls, hub: Hub, room: str, message: Out, *, key: str | None = ..., exclude: Subscription | str | None = ...
    ) -> Coroutine[Any, Any, Position]: ...

    @overload
    @classmethod
    def publish(
        cls, hub: Publisher, room: str, message: Out, *, key: str | None = ..., exclude: str | None = ...
    ) -> Position: ...

    @classmethod
    def publish(cls, hub: Any, room: str, message: Out, *, key: str | None = None, exclude: Any = None) -> Any:
        """Publish *message* to a room of this conversation, from anywhere; see ``Hub.publish()``.

        Await it with a ``Hub``; with a ``falconws.Publisher`` it blocks, and returns the position.

        Raises:
            TypeError: It is not one of the messages that the conversation declares.
        """
        return hub.publish(room, cls.sent.encode(message), key=key, exclude=exclude)

    @overload
    @classmethod
    def publish_many(
        cls,
        hub: Hub,
        room: str,
        messages: Iterable[Out],
        *,
        key: Callable[[Out], str | None] | None = ...,
        exclude: Subscription | str | None = ...,
    ) -> Coroutine[Any, Any, list[Position]]: ...

    @overload
    @classmethod
    def publish_many(
        cls,
        hub: Publisher,
        room: str,
        messages: Iterable[Out],
        *,
        key: Callable[[Out], str | None] | None = ...,
        exclude: str | None = ...,
    ) -> list[Position]: ...

    @classmethod
    def publish_many(
        cls,
        hub: Any,
        room: str,
        messages: Iterable[Out],
        *,
        key: Callable[[Out], str | None] | None = None,
        exclude: Any = None,
    ) -> Any:
        """Publish several messages with one round trip; *key* returns the key of a message. See ``Hub.publish_many()``.

        Await it with a ``Hub``; with a ``falconws.Publisher`` it blocks, and returns the positions.

        Raises:
            TypeError: One of them is not a message that the conversation declares; nothing is published.
        """
        messages = list(messages)
        payloads = [cls.sent.encode(message) for message in messages]
        if key is None:
            return hub.publish_many(room, payloads, exclude=exclude)
        # The hub asks once for each message, in their order, and knows only the payloads.
        keys = iter([key(message) for message in messages])
        return hub.publish_many(room, payloads, key=lambda payload: next(keys), exclude=exclude)

    @overload
    @classmethod
    def publish_ephemeral(
        cls, hub: Hub, room: str, message: Out, *, key: str | None = ..., exclude: Subscription | str | None = ...
    ) -> Coroutine[Any, Any, None]: ...

    @overload
    @classmethod
    def publish_ephemeral(
        cls, hub: Publisher, room: str, message: Out, *, key: str | None = ..., exclude: str | None = ...
    ) -> None: ...

    @classmethod
    def publish_ephemeral(
        cls, hub: Any, room: str, message: Out, *, key: str | None = None, exclude: Any = None
    ) -> Any:
        """Publish *message* to those who follow the room now; it is not kept. See ``Hub.publish(keep=False)``."""
        return hub.publish(room, cls.sent.encode(message), key=key, exclude=exclude, keep=False)

    @classmethod
    async def history(cls, hub: Hub, room: str, *, limit: int = 50, before: Position | None = None) -> list[Out]:
        """Return the newest messages that the room keeps, the oldest of them first; see ``Hub.history()``.

        A ``RoomMessage`` has its ``position``: ``Position.parse()`` makes it *before* of the page before. Messages
        that are not of this conversation are left out.
        """
        events = await hub.history(room, limit=limit, before=before)
        found = (cls._decode_published(event, str(event.position)) for event in events)
        return [message for message in found if message is not None]

    def subscribe(self, hub: Hub, *rooms: str, **options: Any) -> Subscription:
        """Follow rooms whose messages are of this conversation; *options* are those of ``Hub.subscribe()``.

        A client that reconnects sends the last position that it has seen as the query parameter ``since``. A position
        is one of one room: with several rooms, pass ``since`` yourself, or None if clients do not resume.

        Raises:
            falcon.HTTPBadRequest: ``since`` is not a position.
            TypeError: There are several rooms, and no ``since``.
        """
        if "since" not in options:
            if len(rooms) != 1:
                raise TypeError(
                    f"{type(self).__name__}.subscribe(): a client resumes from a position of one room; "
                    "with several rooms, pass since= yourself: None, or a position for each room."
                )
            text = self._req.get_param("since")
            try:
                options["since"] = None if text is None else Position.parse(text)
            except ValueError as error:
                raise falcon.HTTPInvalidParam(str(error), "since") from error
        return hub.subscribe(self.ws, *rooms, encode=type(self).encode, **options)

    @classmethod
    def encode(cls, event: Event) -> str | None:
        """Return what a client is sent for an event of its room, or None for nothing.

        The hub calls it once for each event and process, for all subscribers.
        """
        match event:
            case HubMessage():
                return cls._encode_published(event, str(event.position))
            case Ephemeral():
                return cls._encode_published(event, None)
            case HubGap():
                return cls._encode_own(Gap(str(event.position)))
            case HubJoined():
                return cls._encode_own(Joined(event.member))
            case HubLeft():
                return cls._encode_own(Left(event.member))
        return None

    @classmethod
    def _encode_published(cls, event: HubMessage | Ephemeral, position: str | None) -> str | None:
        message = cls._decode_published(event, position)
        return None if message is None else cls.sent.encode(message)

    @classmethod
    def _decode_published(cls, event: HubMessage | Ephemeral, position: str | None) -> Out | None:
        """Return the message of *event* with its position, or None if it is not of this conversation."""
        try:
            message: Out = cls.sent.decode(event.payload)
        except DECODE_ERRORS as error:
            cls._log_unknown(event.room, cls.sent.explain(event.payload, error))
            return None
        if position is not None and hasattr(message, "position"):
            message = kind_of(type(message)).with_field(message, "position", position)
        return message

    @classmethod
    def _log_unknown(cls, room: str, invalid: InvalidMessageError) -> None:
        """Log that a message of *room* is not sent, once for the room and the type: each client would get it."""
        kind = room, invalid.code, invalid.received
        if kind not in cls._logged and len(cls._logged) < _MAX_LOGGED:
            cls._logged.add(kind)
            _throttle.log_repeated(
                logging.WARNING,
                "Room %r: a message is not one of %s, and is not sent: %s (logged once for this room and type)",
                room,
                cls.__name__,
                ascii(str(invalid)[:200]),
            )

    @classmethod
    def _encode_own(cls, message: msgspec.Struct) -> str | None:
        return cls.sent.encode(message) if type(message) in cls.sent.by_tag.values() else None


def _error_text(invalid: InvalidMessageError) -> str:
    """Return the JSON of the ``Error`` for *invalid*, of at most ``_MAX_ERROR_BYTES``."""
    error = Error(
        invalid.code,
        _printable(invalid.message, _MAX_TEXT) or "",
        invalid.call_id,
        _printable(invalid.path, _MAX_PATH),
        _printable(invalid.received, _MAX_TYPE),
    )
    payload = msgspec.json.encode(error)
    if len(payload) > _MAX_ERROR_BYTES:
        payload = msgspec.json.encode(Error(invalid.code, "The message is not valid", invalid.call_id))
    return payload.decode()


def _printable(text: str | None, size: int) -> str | None:
    """Return *text*, cut to *size* characters, with a "?" for each one that cannot be shown."""
    return None if text is None else "".join(each if each.isprintable() else "?" for each in text[:size])
