"""The limits of one HTTP request. Plain data, so that it can be pickled."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The limits of an HTTP request; those of the head apply to WebSocket handshakes too.

    Attributes:
        max_body_bytes: Largest body; a larger one is answered with 413. Bytes.
        body_timeout_s: Seconds for which a body may make no progress; then the request is answered with 408. The time
            for which the application does not read is not counted. None waits forever.
        response_timeout_s: Seconds for which a client may take nothing of the response that waits for it; then it is
            disconnected. None waits forever.
        min_transfer_bytes_per_s: What a client has to send of a body, or to take of a response that waits for it, on
            average after the first `body_timeout_s` or `response_timeout_s`. One that is slower is treated like one
            that makes no progress. 0 requires no rate. Bytes a second.
        max_header_lines: Largest number of header lines; more are answered with 431.
        max_header_bytes: Largest request line, and largest header; the lines of one name count together. A larger one
            is answered with 431. Bytes.
        max_head_bytes: Largest head, that is, the request line and all headers; a larger one is answered with 431.
            Bytes.
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
