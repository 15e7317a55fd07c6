"""Every limit of one connection: default, unit, effect. Plain data, so that it can be pickled.

Memory of one connection is bounded by these numbers: at most twice `max_message_bytes` in the read
buffer and once in the message being assembled, `max_queued_bytes` plus one read (64 KiB) of messages
that wait for the application, and `max_buffered_bytes` that wait for the client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from falconws.server.websocket.deflate import DeflateSettings

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The limits of a WebSocket connection.

    Attributes:
        max_message_bytes: Largest message taken from a client, all fragments together and inflated;
            a larger one ends the connection with 1009. Bytes.
        max_queued_messages: Reading pauses when so many messages wait for the application. Far above what
            is useful in a queue, since a client that leaves is noticed only while its socket is read; it
            bounds what empty messages cost.
        max_queued_bytes: Reading pauses when the waiting messages have so many bytes. Bytes.
        high_water_bytes: Sending waits while more than this waits for the client. Bytes.
        low_water_bytes: Sending goes on when no more than this waits. Bytes.
        max_buffered_bytes: Most that ever waits for the client; a larger message goes out in
            fragments. Messages of concurrent senders that wait for their turn are counted against it
            as well; over it, the connection is closed with 1013. Bytes.
        ping_interval_s: Seconds between keepalive pings; None sends none.
        ping_timeout_s: Seconds for the answer to a ping, after which the connection is cut; None
            waits for ever.
        handshake_timeout_s: Seconds for a client to complete the TLS handshake, again to send its
            request, and again for the application to accept or deny it; None waits for ever, for TLS
            a minute.
        send_timeout_s: Seconds for which a client may take nothing of what waits for it, before the
            connection is cut; None waits for ever.
        close_timeout_s: Seconds for the client's part of the closing handshake.
        deflate: How to compress (permessage-deflate, RFC 7692); None does not.
    """

    max_message_bytes: int = MIB
    max_queued_messages: int = 8192
    max_queued_bytes: int = MIB
    high_water_bytes: int = 512 * KIB
    low_water_bytes: int = 128 * KIB
    max_buffered_bytes: int = MIB
    ping_interval_s: float | None = 20.0
    ping_timeout_s: float | None = 20.0
    handshake_timeout_s: float | None = 10.0
    send_timeout_s: float | None = 10.0
    close_timeout_s: float = 10.0
    deflate: DeflateSettings | None = None

    def __post_init__(self) -> None:
        for name in ("max_message_bytes", "max_queued_messages", "max_queued_bytes", "close_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("ping_interval_s", "ping_timeout_s", "handshake_timeout_s", "send_timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0, or None for no limit")
        if not 0 <= self.low_water_bytes <= self.high_water_bytes <= self.max_buffered_bytes // 2:
            raise ValueError("the water marks must rise, and the high one be at most half of max_buffered_bytes")


def settings_of(config: Any) -> ConnectionSettings:
    """Return the settings of a server's configuration.

    A uvicorn.Config that knows nothing of falconws (`uvicorn --ws falconws.server:WebSocketProtocol`)
    gives what uvicorn's own options say, and the defaults for the rest.
    """
    settings = getattr(config, "connection_settings", None)
    if isinstance(settings, ConnectionSettings):
        return settings
    return ConnectionSettings(
        max_message_bytes=config.ws_max_size,
        ping_interval_s=config.ws_ping_interval or None,
        ping_timeout_s=config.ws_ping_timeout or None,
    )
