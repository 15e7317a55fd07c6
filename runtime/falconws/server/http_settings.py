"""The limits of one HTTP request. Plain data, so that it can be pickled."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The limits of an HTTP request; those of the head apply to WebSocket handshakes too.

    Attributes:
        max_body_bytes: The largest request body, in bytes. A larger body is answered with 413.
        body_timeout_s: Seconds for which a request body may make no progress. After that, the request is answered with
            408. The time for which the application does not read does not count. None waits forever.
        response_timeout_s: Seconds for which a client may read nothing of a response that waits for it. After that, the
            client is disconnected. None waits forever.
        min_transfer_bytes_per_s: The average rate, in bytes a second, at which a client must send a body or read a
            response after the first `body_timeout_s` or `response_timeout_s`. A slower client is treated like one that
            makes no progress. 0 requires no rate.
        max_header_lines: The largest number of header lines. More are answered with 431.
        max_header_bytes: The largest request line, and the largest header, in bytes. Lines with the same name count
            together. A larger one is answered with 431.
        max_head_bytes: The largest request head, in bytes: the request line and all headers. A larger one is answered
            with 431.
        keep_alive_timeout_s: Seconds for which a connection stays open after a response without another request.
    """

    max_body_bytes: int = 16 * MIB
    body_timeout_s: float | None = 30.0
    response_timeout_s: float | None = 30.0
    min_transfer_bytes_per_s: int = 512
    max_header_lines: int = 100
    max_header_bytes: int = 8 * KIB
    max_head_bytes: int = 32 * KIB
    keep_alive_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("max_header_lines", "max_header_bytes", "max_head_bytes", "keep_alive_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("max_body_bytes", "min_transfer_bytes_per_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("body_timeout_s", "response_timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0, or None for no limit")
