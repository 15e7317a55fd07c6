"""The ASGI extensions "falconws.connection" and "falconws.going_away": their keys, and the contract of the first.

The only place that states the contract. It must not know an implementation: neither the server nor the application.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

CONNECTION_KEY = "falconws.connection"
GOING_AWAY_KEY = "falconws.going_away"


class ConnectionExtension(Protocol):
    """`scope["extensions"]["falconws.connection"]` of a WebSocket scope.

    It shares its state with `receive` and `send`: a message that one of them returns or sends is not returned or sent
    again by the other. It must be used in the thread of the event loop only.
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
        """Whether the connection has ended, or its end has begun on either side."""

    @property
    def close_code(self) -> int | None:
        """The close code; None while it is open. 1005: closed without a code. 1006: lost, or refused."""

    @property
    def close_reason(self) -> str | None:
        """The reason in the close frame, or ""; None while it is open."""

    @property
    def buffered_amount(self) -> int:
        """How many bytes were sent and still wait in this process for the client to take them."""

    def try_send_text(self, text: str) -> bool:
        """Send a TEXT message if that needs no waiting, and return whether it was sent.

        False: the connection is not open, more than the high-water mark waits, or this message would exceed the limit
        of the connection. Nothing was sent then; `await send(...)` waits until it can be sent, or raises OSError.
        """

    def try_send_bytes(self, data: bytes) -> bool:
        """Send a BINARY message if that needs no waiting; see `try_send_text`."""

    def prepare(self, payload: str | bytes) -> object:
        """Return a message that `try_send_prepared` can send on every connection of this server process.

        A str makes a TEXT message, bytes make a BINARY one. Its frame is built once, here.
        """

    def try_send_prepared(self, prepared: Any) -> bool:
        """Send what `prepare` has returned if that needs no waiting; see `try_send_text`.

        It is compressed once for all connections that have agreed on the same parameters. When several small messages
        are prepared in one iteration of the event loop, a connection may write them together when it ends, in the order
        of the calls.
        """

    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]:
        """Call `try_send_prepared` on each of *connections*, and return those that have refused, in their order.

        They are connections of this server process; it makes no difference on which of them it is called. It costs a
        fraction of that many calls. A connection that fails is disconnected, and is not among those returned.
        """

    def cork(self) -> None:
        """Hold small prepared messages back, and write them together when this iteration of the event loop ends.

        For a caller that has several at hand. They count as sent meanwhile, and keep their order.
        """

    def limit_buffering(self, max_bytes: int) -> None:
        """Keep no more than about *max_bytes* of what was sent in this process, and as much in the kernel.

        For data that becomes stale: the `try_` methods refuse messages sooner, and what the client receives is recent.
        On Linux, pings tell how far the client has read, and messages are refused while an answer is late. It costs
        more system calls. The kernel's part needs Linux or macOS.
        """

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, when the `try_` methods may succeed again, or the connection has ended.

        That is when no more than the low-water mark waits. If the connection has ended, or would send a message now,
        *callback* is called in the next iteration of the event loop. When the first message that *callback* tries is
        refused and the connection has not ended, the message is too large for the `try_` methods: use
        `await send(...)`. *callback* runs in the event loop, must not block, and must not raise.
        """

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        """Remove *callback*; do nothing if it was called or never added."""

    def try_receive(self) -> str | bytes | None:
        """Return the next message if one is there, None otherwise.

        None does not say why; `await next_message()` waits for a message or the end. A connection that has returned
        many messages in one iteration of the event loop returns None as well, and lets `next_message` wait until others
        had their share. While another task waits for a message, it is None too.
        """

    def next_message(self) -> Coroutine[Any, Any, str | bytes | None]:
        """Return the next message once there is one; None when the connection has ended and none is left.

        What `await receive()` returns, without an event around it.
        """

    @property
    def receiving(self) -> bool:
        """Whether a task waits in `receive` or `next_message`."""

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, as soon as the end of the connection is known.

        Messages may still wait to be received then. If the connection has ended, *callback* is called at once. It runs
        in the event loop, must not block, and must not raise.
        """

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Remove *callback*; do nothing if it was called or never added."""
