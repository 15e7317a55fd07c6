import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import falconws
from falconws import RateLimit, WebSocketDisconnected
from falconws.rate_limit import Meter
from falconws.testing import Client

SECONDS = 20.0


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"messages_per_s": 0},
        {"messages_per_s": -1},
        {"bytes_per_s": 0},
        {"messages_per_s": 1, "burst_s": 0},
        {"messages_per_s": float("nan")},
    ],
)
def test_a_limit_that_lets_nothing_or_everything_through_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be more than 0|Give messages_per_s"):
        RateLimit.slow_down(**arguments)


def test_the_option_takes_a_limit_or_none() -> None:
    options = falconws.WebSocketOptions()
    assert options.rate_limit is None
    with pytest.raises(TypeError, match=r"falconws\.RateLimit or None, not 5"):
        options.rate_limit = 5


def test_a_full_bucket_holds_the_burst_and_is_filled_at_the_rate() -> None:
    meter = Meter(RateLimit.slow_down(messages_per_s=2, burst_s=5), 100.0)
    for _ in range(10):
        meter.charge(1000, 100.0)
        assert meter.debt_s(100.0) <= 0
    meter.charge(1000, 100.0)
    assert meter.debt_s(100.0) == 0.5
    assert meter.debt_s(100.5) == 0


def test_bytes_have_a_bucket_of_their_own() -> None:
    meter = Meter(RateLimit.slow_down(messages_per_s=1000, bytes_per_s=100, burst_s=10), 0.0)
    meter.charge(1000, 0.0)
    assert meter.debt_s(0.0) <= 0
    meter.charge(50, 0.0)
    assert meter.debt_s(0.0) == 0.5


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 500)), max_size=50))
def test_no_client_gets_more_than_its_rate_and_burst(steps: list[tuple[float, int]]) -> None:
    limit = RateLimit.slow_down(messages_per_s=3, bytes_per_s=200, burst_s=4)
    meter, now, messages, size = Meter(limit, 0.0), 0.0, 0, 0
    for pause, length in steps:
        now += pause
        if meter.debt_s(now) > 0:
            now += meter.debt_s(now)
        meter.charge(length, now)
        messages, size = messages + 1, size + length
        # One message may be taken on credit.
        assert messages <= 3 * (now + 4) + 1.001
        assert size <= 200 * (now + 4) + 500.001


def app_of(responder: Any, limit: RateLimit | None) -> falconws.App:
    class Resource:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await responder(ws)

    app = falconws.App()
    app.ws_options.allowed_origins = "*"
    app.ws_options.rate_limit = limit
    app.add_route("/", Resource())
    return app


async def echo(ws: Any) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


async def test_slow_down_loses_no_message_and_takes_its_time() -> None:
    limit = RateLimit.slow_down(messages_per_s=50, burst_s=0.1)
    async with Client(app_of(echo, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        begin = asyncio.get_running_loop().time()
        for number in range(20):
            await ws.send_text(str(number))
        assert [await ws.receive_text() for _ in range(20)] == [str(number) for number in range(20)]
        # Five at once, one on credit, and fourteen at 20 ms each.
        assert asyncio.get_running_loop().time() - begin >= 0.27


async def test_a_client_that_leaves_ends_the_wait() -> None:
    ended = asyncio.Event()

    async def responder(ws: Any) -> None:
        await ws.accept()
        with pytest.raises(WebSocketDisconnected):
            while True:
                await ws.receive_text()
        ended.set()

    limit = RateLimit.slow_down(messages_per_s=0.001, burst_s=0.001)
    async with Client(app_of(responder, limit)) as client:
        async with client.websocket("/", timeout=SECONDS) as ws:
            await ws.send_text("1")
            await ws.send_text("2")
        await asyncio.wait_for(ended.wait(), SECONDS)


async def test_a_timeout_counts_the_wait_for_the_rate() -> None:
    outcome: list[str] = []

    async def responder(ws: Any) -> None:
        await ws.accept()
        outcome.append(await ws.receive_text())
        with pytest.raises(TimeoutError, match=r"No message within 0\.01 s"):
            await ws.receive_text(timeout=0.01)
        outcome.append(await ws.receive_text(timeout=SECONDS))

    limit = RateLimit.slow_down(messages_per_s=1, burst_s=0.05)
    async with Client(app_of(responder, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        await ws.send_text("1")
        await ws.send_text("2")
        await ws.wait_closed()
    assert outcome == ["1", "2"]


async def test_a_second_receiver_is_refused_during_the_wait() -> None:
    async def responder(ws: Any) -> None:
        await ws.accept()
        await ws.receive_text()
        first = asyncio.create_task(ws.receive_text())
        await asyncio.sleep(0)
        with pytest.raises(falconws.OperationNotAllowed):
            await ws.receive_text()
        first.cancel()
        await ws.close(4000)

    limit = RateLimit.slow_down(messages_per_s=0.1, burst_s=1)
    async with Client(app_of(responder, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        await ws.send_text("1")
        assert await ws.wait_closed() == 4000


async def test_disconnect_closes_with_1008_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    limit = RateLimit.disconnect(messages_per_s=1, burst_s=5)
    async with Client(app_of(echo, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        for number in range(7):
            await ws.send_text(str(number))
        for number in range(5):
            assert await ws.receive_text() == str(number)
        assert await ws.wait_closed() == 1008
        assert ws.close_reason == "rate limit exceeded"
    (line,) = [record for record in caplog.records if record.name == "falconws"]
    assert "ws_options.rate_limit" in line.getMessage()


async def test_a_message_over_the_burst_of_bytes_disconnects_at_once() -> None:
    limit = RateLimit.disconnect(bytes_per_s=100, burst_s=10)
    async with Client(app_of(echo, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        await ws.send_text("x" * 1000)
        assert await ws.receive_text() == "x" * 1000
    async with Client(app_of(echo, limit)) as client, client.websocket("/", timeout=SECONDS) as ws:
        await ws.send_text("x" * 1001)
        assert await ws.wait_closed() == 1008


async def test_a_websocket_with_a_limit_does_not_wait_for_the_garbage_collector() -> None:
    refs: list[weakref.ref[Any]] = []

    async def responder(ws: Any) -> None:
        refs.append(weakref.ref(ws))
        await ws.accept()

    gc.collect()
    gc.disable()
    try:
        app = app_of(responder, RateLimit.slow_down(messages_per_s=1))
        async with Client(app) as client, client.websocket("/"):
            pass
        await asyncio.sleep(0)
        assert refs[0]() is None
    finally:
        gc.enable()
