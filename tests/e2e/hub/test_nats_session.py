"""A session with a NATS server that loses its connection."""

from __future__ import annotations

import asyncio

import pytest

from falconws.hub.brokers.nats.session import NatsSession
from falconws.hub.brokers.nats.url import NatsUrl
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import SLACK_S
from tests.e2e.hub.servers import Nats


async def never_refused(subject: str, reason: str) -> None:
    raise AssertionError((subject, reason))


async def test_requests_in_flight_end_with_the_connection(nats: Nats) -> None:
    """Also before the session is ready, when nobody watches the connection yet."""
    async with Proxy(nats.port) as proxy:
        session = NatsSession(NatsUrl(f"nats://127.0.0.1:{proxy.port}"), 60.0, lambda: None, never_refused)
        await session.open()
        proxy.hold()
        request = asyncio.create_task(session.api("INFO"))
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        proxy.cut()
        with pytest.raises(ConnectionError):
            await request
        with pytest.raises(ConnectionError):
            await session.api("INFO")
        assert asyncio.get_running_loop().time() - began < SLACK_S
        await session.close()
