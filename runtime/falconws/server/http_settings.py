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
        max_header_lines: Largest number of header lines; more are answered with 431.
        max_header_bytes: Largest request line, and largest header; the lines of one name count together. A larger one
            is answered with 431. Bytes.
        max_head_bytes: Largest head, that is, the request line and all headers; a larger one is answered with 431.
            Bytes.
        keep_alive_timeout_s: Seconds for which a connection stays open after a response without another request.
    """

    max_body_bytes: int = 16 * MIB
    body_timeout_s: float | None = 30.0
    max_header_lines: int = 100
    max_header_bytes: int = 8 * KIB
    max_head_bytes: int = 32 * KIB
    keep_alive_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("max_header_lines", "max_header_bytes", "max_head_bytes", "keep_alive_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.max_body_bytes < 0:
            raise ValueError(f"max_body_bytes is {self.max_body_bytes}; it must be 0 or more")
        if self.body_timeout_s is not None and self.body_timeout_s <= 0:
            raise ValueError(f"body_timeout_s is {self.body_timeout_s}; it must be above 0, or None for no limit")
