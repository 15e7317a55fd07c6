"""The end of a closing connection whose client does not close its side."""

import asyncio
from typing import Any

import pytest

from falconws.server import lingering_close
from falconws.server.lingering_close import abort_when_flushed


class ClosedTransport:
    """A TLS transport that has closed before it is looked at: uvloop's has no socket then."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.looked = asyncio.Event()

    def get_extra_info(self, name: str) -> Any:
        self.asked.append(name)
        if name == "socket":
            self.looked.set()
            return None
        return object()


async def test_a_transport_that_has_closed_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_close, "_FLUSH_CHECK_S", 0.001)
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    transport = ClosedTransport()
    abort_when_flushed(transport, loop)
    async with asyncio.timeout(20):
        await transport.looked.wait()
    # What fails in a callback is told in the same iteration.
    await asyncio.sleep(0)
    assert failures == []
    assert transport.asked == ["sslcontext", "socket"]
