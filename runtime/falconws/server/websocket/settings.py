"""The limits of one connection: default, unit and effect of each. Plain data that can be pickled; knows no connection.

They bound the memory of a connection by the sum of

- the read buffer: about twice the largest frame that has come, so twice `max_message_bytes`;
- the message that is being assembled: `max_message_bytes` and an eighth;
- messages that wait for the application: `max_queued_bytes`, one more message, and the small ones of one read of 64 KiB
  at 64 bytes each. Text that is not ASCII may take 4 bytes a character: it is counted like that in messages of more
  than 2 kB; smaller ones, and the one more message, can have four times the size that counts;
- what waits for the client: `max_buffered_bytes`.

All connections together hold at most `max_total_unread_bytes` of what the application has not received.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from falconws.server.websocket.deflate import DeflateSettings

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The limits of a WebSocket connection.

    Attributes:
        max_message_bytes: The largest message that a client may send, in bytes: all fragments together, after
            decompression. A larger message closes the connection with 1009.
        max_queued_messages: Reading pauses while this many messages wait for the application. This limits what empty
            messages cost. While reading is paused, the server notices within seconds, not at once, that a client has
            left.
        max_queued_bytes: Reading pauses while the messages that wait for the application take this many bytes of
            memory. Each message counts 64 bytes more than its payload, and large text that is not ASCII counts 4 bytes
            a character. Compressed messages wait compressed, and count with that size.
        max_total_unread_bytes: The same limit for all connections of a process together, including incomplete messages.
            While half of it is used, the server does not read from connections that hold more than an equal share of
            that half. A connection that cannot complete its message for this reason is closed with 1013 after
            `message_timeout_s`. Messages that the application has received do not count. None sets no limit.
        message_timeout_s: Seconds within which at least one more byte of an incomplete message must arrive. After this
            time, the message must also arrive at `min_bytes_per_s` on average. Otherwise the connection is closed with
            1008. None waits forever. Pings watch a message in a single frame instead, if the server sends any: the
            client cannot answer them before the end of the frame, and must send at `min_bytes_per_s`, or the connection
            is closed with 1008 too.
        high_water_bytes: Sending pauses while more than this many bytes wait for the client.
        low_water_bytes: Sending resumes when at most this many bytes wait for the client.
        max_buffered_bytes: The most bytes that ever wait for the client. A larger message is sent in fragments.
            Messages that concurrent senders have queued count too: if they exceed the limit, the connection is closed
            with 1013.
        max_control_frames_per_s: A client that sends more pings, pongs and close frames than this in a second is
            disconnected with 1008. None sets no limit.
        ping_interval_s: Seconds between keepalive pings. None sends no pings.
        ping_timeout_s: Seconds within which a client must answer a ping. Otherwise it is disconnected. None waits
            forever.
        handshake_timeout_s: Seconds for each of three steps: the client completes the TLS handshake, the client sends
            its request, and the application accepts or denies it. None waits forever, except that a TLS handshake has
            one minute.
        send_timeout_s: Seconds within which a client must read at least one byte of the data that waits for it.
            Otherwise it is disconnected. None waits forever.
        min_bytes_per_s: The rate at which a client must read the data that waits for it, and send a message that it has
            begun, to count as making progress. A slower client is disconnected after `send_timeout_s`,
            `ping_timeout_s`, `message_timeout_s` or `close_timeout_s`.
        close_timeout_s: Seconds within which a client must answer a close frame that it has received. Otherwise it is
            disconnected.
        deflate: How messages are compressed (permessage-deflate, RFC 7692). None turns compression off.
    """

    max_message_bytes: int = MIB
    max_queued_messages: int = 8192
    max_queued_bytes: int = MIB
    max_total_unread_bytes: int | None = 256 * MIB
    message_timeout_s: float | None = 30.0
    high_water_bytes: int = 512 * KIB
    low_water_bytes: int = 128 * KIB
    max_buffered_bytes: int = MIB
    max_control_frames_per_s: int | None = 500
    ping_interval_s: float | None = 20.0
    ping_timeout_s: float | None = 20.0
    handshake_timeout_s: float | None = 10.0
    send_timeout_s: float | None = 10.0
    min_bytes_per_s: int = KIB
    close_timeout_s: float = 10.0
    deflate: DeflateSettings | None = None
    # Messages that were read in at most this many bytes cannot exceed max_queued_messages or max_queued_bytes.
    uncounted_bytes: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uncounted_bytes", self.uncounted_beside(0, 0))
        for name in ("max_message_bytes", "max_queued_messages", "max_queued_bytes", "close_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("message_timeout_s", "ping_interval_s", "ping_timeout_s", "handshake_timeout_s", "send_timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0, or None for no limit")
        for name in ("max_control_frames_per_s", "max_total_unread_bytes"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{name} is {limit}; it must be above 0, or None for no limit")
        if self.min_bytes_per_s < 0:
            raise ValueError(f"min_bytes_per_s is {self.min_bytes_per_s}; it must not be negative")
        if not 0 <= self.low_water_bytes <= self.high_water_bytes <= self.max_buffered_bytes // 2:
            raise ValueError("low_water_bytes must not exceed high_water_bytes, nor that half of max_buffered_bytes")

    @property
    def requires_pongs(self) -> bool:
        """Whether a client that does not answer pings is disconnected."""
        return self.ping_interval_s is not None and self.ping_timeout_s is not None

    def uncounted_beside(self, messages: int, size: int) -> int:
        """Return how many bytes may be read before an inbox with *messages* of *size* bytes has to be counted again.

        A message is read in 6 bytes or more, and counts at most 4 times as many and 64 more: so what is read in 1 KiB
        is a small part of `max_total_unread_bytes`, too.
        """
        return min(KIB, (self.max_queued_bytes - size) // 16, 6 * (self.max_queued_messages - messages)) - 1


def settings_of(config: Any) -> ConnectionSettings:
    """Return the settings in a server's configuration.

    A plain uvicorn.Config (`uvicorn --ws falconws.server:WebSocketProtocol`) has uvicorn's own options; the other
    settings have their defaults then.
    """
    settings = getattr(config, "connection_settings", None)
    if isinstance(settings, ConnectionSettings):
        return settings
    return ConnectionSettings(
        max_message_bytes=config.ws_max_size,
        ping_interval_s=config.ws_ping_interval or None,
        ping_timeout_s=config.ws_ping_timeout or None,
    )
