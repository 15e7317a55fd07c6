"""A stream that reports its first use: the hub sends nothing to a client before the responder has spoken or listens.

Stands in place of the real stream until then, so that it costs nothing afterwards. Knows nothing of the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .stream import Close, Payload, Stream

__all__ = ("FirstUseStream",)


class FirstUseStream:
    """Implements ``Stream``.

    Args:
        stream: The real stream.
        on_used: Called once: when the first send has returned, or before the first receive or wait.
    """

    def __init__(self, stream: Stream, on_used: Callable[[], object]) -> None:
        self.__dict__.update(stream=stream, callbacks=[on_used])

    stream: Stream
    callbacks: list[Callable[[], object]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.stream, name, value)

    def used(self) -> None:
        """Call the callbacks, once."""
        callbacks = self.callbacks[:]
        self.callbacks.clear()
        for callback in callbacks:
            callback()

    async def send(self, payload: Payload) -> None:
        try:
            await self.stream.send(payload)
        finally:
            self.used()

    async def receive(self, timeout: float | None = None) -> Payload | None:
        self.used()
        return await self.stream.receive(timeout)

    async def wait_closed(self) -> Close:
        self.used()
        return await self.stream.wait_closed()
