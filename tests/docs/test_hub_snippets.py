"""What the pages about the hub say holds when their snippets run."""

import asyncio
from collections.abc import Callable
from types import ModuleType

from websockets.sync.client import connect

from falconws.testing import Client, LiveServer

Load = Callable[[str], ModuleType]


async def test_a_room_tells_everybody_and_those_who_come_back(snippet: Load) -> None:
    module = snippet("fan_out")
    async with Client(module.app) as client:
        assert (await client.simulate_get("/ready")).status_code == 200
        async with client.websocket("/rooms/1", query_string="who=ada") as ada:
            welcome = await ada.receive_media()
            assert welcome["type"] == "welcome"
            assert (await ada.receive_media()) == {"type": "joined", "who": "ada", "info": None}
            assert (await client.simulate_get("/rooms/1")).json == {"ada": None}
            await ada.send_media("hello")
            said = await ada.receive_media()
            assert said["data"] == {"said": "hello"}
        position = (await client.simulate_post("/rooms/1", json=[1])).json
        async with client.websocket("/rooms/1", query_string=f"since={said['position']}") as back:
            assert await back.receive_media() == {"type": "welcome", "position": said["position"]}
            assert await back.receive_media() == {"type": "message", "data": {"posted": [1]}, "position": position}
        async with client.websocket("/rooms/1", query_string="since=old:7") as late:
            await late.receive_media()
            assert (await late.receive_media())["type"] == "reload"


async def test_a_loop_counts_words(snippet: Load) -> None:
    module = snippet("fan_out")
    async with module.hub as hub:
        totals = {"words": 0, "gaps": 0}
        counting = asyncio.create_task(module.count_words(hub, totals))
        async with asyncio.timeout(5):
            while totals["words"] < 3:
                await hub.publish("reviews", {"said": "well done indeed"})
                await asyncio.sleep(0.01)
        await hub.stop()
        await asyncio.wait_for(counting, 5)


def test_a_ticker_sends_prices(snippet: Load) -> None:
    module = snippet("slow_consumers")
    with LiveServer(module.app) as server, connect(f"{server.ws_url}/prices") as client:
        module.hub.publish_threadsafe("warm-up", "x", timeout=5)
        module.hub.publish_threadsafe("prices", {"symbol": "A", "price": 1}, key="A", timeout=5)
        assert client.recv(timeout=5) == '{"symbol": "A", "price": 1}'
