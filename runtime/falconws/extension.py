"""The ASGI extension "falconws.connection": what it promises, as a type. No implementation here.

Applications and servers that know nothing of falconws' modules need only the key and the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

CONNECTION_KEY = "falconws.connection"
GOING_AWAY_KEY = "falconws.going_away"


class ConnectionExtension(Protocol):
    """`scope["extensions"]["falconws.connection"]` of a WebSocket scope.

    It stands beside `receive` and `send` and shares their state: what one of them takes or sends,
    the other does not take or send again. All of it belongs to the event loop's thread.
    """

    async def receive(self) -> Mapping[str, Any]:
        """The `receive` that the server passes with this scope.

        An application that was given another `receive` or another `send` has ASGI middleware in front of it. Then the
        middleware must see every message: the application uses what it was given, and not the extension.
        """

    async def send(self, event: Mapping[str, Any]) -> None:
        """The `send` that the server passes with this scope; see `receive`."""

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, or is ending, from either side."""

    @property
    def close_code(self) -> int | None:
        """How it ended; None while it is open. 1005: closed without a status. 1006: lost, or refused."""

    @property
    def close_reason(self) -> str | None:
        """Why it ended, as the side that closed it says; None while it is open."""

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and still wait in this process for the client to take them."""

    def try_send_text(self, text: str) -> bool:
        """Send a TEXT message if that needs no waiting, and return whether it was sent.

        False: the connection is not open, the bytes that wait are above the high-water mark, or
        this message would lift them above the limit of the connection. Nothing was sent then;
        `await send(...)` waits for its turn or raises OSError.
        """

    def try_send_bytes(self, data: bytes) -> bool:
        """Send a BINARY message if that needs no waiting; as `try_send_text`."""

    def prepare(self, payload: str | bytes) -> object:
        """Return a message that `try_send_prepared` can send on every connection of this server process.

        A str makes a TEXT message, bytes a BINARY one. Its frame is built once, here.
        """

    def try_send_prepared(self, prepared: Any) -> bool:
        """Send what `prepare` has returned; as `try_send_text`, without encoding and without a header to build.

        A connection with compression compresses it for itself. When several small messages are prepared in one turn
        of the event loop, a connection may write them together when the turn ends, in the order of the calls.
        """

    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]:
        """Do `try_send_prepared` on each of *connections*, and return those that have refused, in their order.

        They are connections of this server process; which of them it is called on makes no difference. It costs a
        fraction of as many calls. A connection that fails is cut off, and is not among those that have refused.
        """

    def cork(self) -> None:
        """Write the small prepared messages that are sent until this turn of the event loop ends together, in order.

        For who has several at hand. They count as sent meanwhile.
        """

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, when the `try_` methods may succeed again, or the connection has ended.

        After they have refused a message, that is when no more than the low-water mark waits. On a
        connection that would take a message now, or has ended, it is called at the next turn of the
        event loop. When the first message that is tried from within the callback is refused, and the
        connection has not ended, it is too large for the `try_` methods: `await send(...)` takes it.
        The callback runs in the event loop, must not block, and must not raise.
        """

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        """Forget *callback*; nothing happens if it was called or never added."""

    def try_receive(self) -> str | bytes | None:
        """Return the next message if one is there, None otherwise.

        None says nothing of why; `await receive()` waits for a message or tells of the disconnect.
        """

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, as soon as the end of the connection is known.

        That may be while messages still wait to be received. On a connection that has ended it is
        called at once. It runs in the event loop, must not block, and must not raise.
        """

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Forget *callback*; nothing happens if it was called or never added."""
