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
        max_message_bytes: Size in bytes of the largest message that a client may send, all fragments together and
            inflated. A larger one ends the connection with 1009.
        max_queued_messages: Reading pauses when this many messages wait for the application. It bounds what empty
            messages cost. A client that leaves is noticed at once while reading, and within seconds while it is paused.
        max_queued_bytes: Reading pauses when the messages that wait for the application have this many bytes, as they
            are in memory: 64 a message, and 4 a character of large text that is not ASCII. Compressed messages wait
            compressed, and count like that.
        max_total_unread_bytes: The same for all connections of a process together, incomplete messages included. When
            half of it is taken, connections that hold more than their equal share of this half are not read until it is
            free again, so that it is not exceeded. One that cannot complete its message meanwhile is closed with 1013
            after `message_timeout_s`. What the application has received does not count. None sets no limit.
        message_timeout_s: Seconds in which at least one byte has to come of a message that has begun and is not
            complete, and after which it has to come at `min_bytes_per_s` on average; or the connection ends with 1008.
            None waits forever. A message in one frame is watched by pings instead, if they are answered: its client
            cannot answer meanwhile, and has to send `min_bytes_per_s`.
        high_water_bytes: Sending pauses while more than this waits for the client.
        low_water_bytes: Sending resumes when no more than this waits.
        max_buffered_bytes: The most that ever waits for the client; a larger message is sent in fragments. Messages of
            concurrent senders that wait in the queue count against it as well; when they exceed it, the connection is
            closed with 1013.
        max_control_frames_per_s: A client that sends more pings, pongs and close frames than this in a second is
            disconnected with 1008; None takes any number.
        ping_interval_s: Seconds between keepalive pings; None sends none.
        ping_timeout_s: Seconds in which a client has to answer a ping, or is disconnected; None waits forever.
        handshake_timeout_s: Seconds in which a client has to complete the TLS handshake, then again to send its
            request, and then again the application to accept or deny it. None waits forever, for TLS a minute.
        send_timeout_s: Seconds in which a client has to take at least one byte of what waits for it, or is
            disconnected; None waits forever.
        min_bytes_per_s: What a client has to take, while something waits for it, or to send of a message that is not
            complete, to count as making progress. One that takes or sends less is disconnected after `send_timeout_s`,
            `ping_timeout_s`, `message_timeout_s` or `close_timeout_s`.
        close_timeout_s: Seconds in which a client has to answer a close frame that it has received, or is disconnected.
        deflate: How to compress messages (permessage-deflate, RFC 7692); None does not.
        uncounted_bytes: Messages that were read in no more bytes than this cannot exceed `max_queued_messages` or
            `max_queued_bytes`.
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
