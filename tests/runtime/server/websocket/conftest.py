"""A connection without a network: bytes in by hand, bytes out and events at hand."""

import asyncio
from typing import Any

import pytest

from falconws.server.websocket import time_slice
from falconws.server.websocket.connection import Connection
from falconws.server.websocket.deflate import PerMessageDeflate
from falconws.server.websocket.picows_adapter import feed, switch_protocols
from falconws.server.websocket.settings import ConnectionSettings


class MemoryTransport:
    """What a transport promises, with a list for the network."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.protocol: Any = None
        self.closing = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: Any) -> None:
        for piece in pieces:
            self.written += piece

    def get_write_buffer_size(self) -> int:
        # Never empty, so that picows does not write to the socket behind a transport's back.
        return 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default

    def fileno(self) -> int:
        return -1

    def getsockopt(self, *_: Any) -> bytes:
        raise OSError("not a socket")

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Conversation:
    """An accepted connection, fed by hand."""

    def __init__(self, settings: ConnectionSettings, deflate: PerMessageDeflate | None = None) -> None:
        self.transport = MemoryTransport()
        self.connection = Connection(settings, asyncio.get_running_loop(), "peer", self._no_handshake)
        self.connection.opened(self.transport, deflate, lambda: None)
        switch_protocols(self.transport, self.connection, b"", settings.max_message_bytes)

    async def _no_handshake(self, event: dict[str, Any]) -> None:
        raise AssertionError(event)

    async def feed(self, data: bytes) -> None:
        if hasattr(self.transport.protocol, "get_buffer"):
            feed(self.transport.protocol, data)
        else:
            self.transport.protocol.data_received(data)
        # A violation is reported in the next iteration of the event loop.
        await asyncio.sleep(0)

    async def events(self) -> list[tuple[Any, ...]]:
        """Return everything that the application is told, up to the disconnect if there is one."""
        told: list[tuple[Any, ...]] = []
        while True:
            receiving = asyncio.ensure_future(self.connection.receive())
            for _ in range(3):
                await asyncio.sleep(0)
            if not receiving.done():
                receiving.cancel()
                return told
            event = receiving.result()
            told.append(tuple(event.values()))
            if event["type"] == "websocket.disconnect":
                return told

    def end(self) -> None:
        """Take the transport away, with every timer that it holds."""
        self.transport.protocol.connection_lost(None)


@pytest.fixture
def conversation(monkeypatch):
    """Return the class of a connection that is fed by hand; on a busy machine, too, its time slice is not over."""
    monkeypatch.setattr(time_slice, "_SLICE_S", 1000.0)
    monkeypatch.setattr(time_slice, "_CONTENDED_SLICE_S", 1000.0)
    return Conversation
