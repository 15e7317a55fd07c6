"""A stream that is deleted, by hand or with a server's memory, and created again by the first process that needs it."""

from __future__ import annotations

import asyncio

from falconws import Gap, Message
from tests.e2e.hub.recorder import TIMEOUT_S, WAIT_S, following, make_hub
from tests.e2e.hub.servers import Nats


async def delete(server: Nats, prefix: str) -> None:
    answer = await asyncio.to_thread(server.ask, f"$JS.API.STREAM.DELETE.{prefix}-rooms")
    assert answer["success"]


async def test_positions_of_a_stream_that_is_gone_are_void_in_all_processes(nats: Nats) -> None:
    """Also in those whose own calls go on succeeding."""
    url = f"{nats.url}?prefix=anew"
    async with make_hub(url) as here, make_hub(url) as there, following(there, "room") as follower:
        old = [await here.publish("room", payload) for payload in ("old 1", "old 2")]
        await follower.until(lambda: len(follower.events) == 2, "messages come")
        await delete(nats, "anew")
        new = [await here.publish("room", f"new {number}") for number in range(5)]
        await follower.until(lambda: follower.payloads[-1:] == ["new 4"], "messages come again")
        assert follower.payloads == ["old 1", "old 2", *(f"new {number}" for number in range(5))]
        assert [event.position for event in follower.events if isinstance(event, Message)] == old + new
        assert isinstance(follower.events[2], Gap)
        assert len(follower.gaps) == 1
        assert (await there.publish("room", "last")).epoch == new[0].epoch
        for hub in (here, there):
            async with hub.listen("room", since=old[0]) as listener:
                messages = aiter(listener)
                told = [await anext(messages) for _ in range(7)]
            assert isinstance(told[0], Gap)
            assert [event.payload for event in told[1:]] == [*follower.payloads[2:7], "last"]


async def test_a_process_that_is_told_nothing_finds_out_by_itself(nats: Nats) -> None:
    url = f"{nats.url}?prefix=anew-quiet"
    async with make_hub(url) as here, make_hub(url, timeout_s=TIMEOUT_S) as there:
        old = await there.publish("room", "old")
        await delete(nats, "anew-quiet")
        new = await here.publish("room", "new")
        assert new.epoch != old.epoch
        async with asyncio.timeout(WAIT_S):
            while (await there.publish("room", "newer")).epoch != new.epoch:
                await asyncio.sleep(0.05)
