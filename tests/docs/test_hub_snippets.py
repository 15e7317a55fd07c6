"""The snippets of the pages about the hub work as the pages tell."""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import connect

import falconws
from falconws import WebSocketDisconnected
from falconws.testing import Client, HandshakeDenied, LiveServer

Load = Callable[[str], ModuleType]

SECONDS = 20.0


async def test_a_room_broadcasts_and_a_client_resumes(snippet: Load) -> None:
    module = snippet("fan_out")
    async with Client(module.app) as client:
        assert (await client.simulate_get("/ready")).status_code == 200
        async with client.websocket("/rooms/1", query_string="who=ada") as ada:
            welcome = await ada.receive_media()
            assert welcome["type"] == "welcome"
            assert (await ada.receive_media()) == {"type": "present", "who": "ada", "info": None}
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


LONG = quote("ä" * 128)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("fan_out", "/rooms/1?who="),
        ("fan_out", f"/rooms/1?who={'x' * 300}"),
        ("fan_out", "/rooms/1?since=x"),
        ("fan_out", "/rooms/1?since="),
        ("fan_out", f"/rooms/{LONG}"),
        ("scale_out", "/rooms/1?since=x"),
        ("scale_out", f"/rooms/{LONG}"),
    ],
)
async def test_invalid_arguments_of_a_client_are_refused_in_the_handshake(snippet: Load, name: str, path: str) -> None:
    async with Client(snippet(name).app) as client:
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket(path):
                pass
        assert denied.value.status == 400


async def test_http_refuses_invalid_rooms_and_bodies_that_any_page_can_post(snippet: Load) -> None:
    async with Client(snippet("fan_out").app) as client:
        assert (await client.simulate_get(f"/rooms/{LONG}")).status_code == 400
        assert (await client.simulate_post(f"/rooms/{LONG}", json=[1])).status_code == 400
        assert (await client.simulate_post("/rooms/1", body="[1]")).status_code == 415
    async with Client(snippet("scale_out").app) as client:
        assert (await client.simulate_post(f"/rooms/{LONG}", json=[1])).status_code == 400


async def test_messages_of_other_programs_are_encoded_too(snippet: Load) -> None:
    module = snippet("fan_out")
    async with Client(module.app) as client, client.websocket("/rooms/42") as ws:
        await ws.receive_media()
        for payload in (b"\xff", "We are back", '{"tea": 3}'):
            await module.hub.publish("42", payload)
        assert [(await ws.receive_media())["data"] for _ in range(2)] == ["We are back", {"tea": 3}]


async def test_a_loop_counts_words(snippet: Load) -> None:
    module = snippet("fan_out")
    async with module.hub as hub:
        totals = {"words": 0, "gaps": 0}
        counting = asyncio.create_task(module.count_words(hub, totals))
        async with asyncio.timeout(SECONDS):
            while totals["words"] < 3:
                for media in ({"posted": [1]}, "We are back", {"said": "well done indeed"}):
                    await hub.publish("reviews", media)
                await asyncio.sleep(0.01)
        await hub.stop()
        await asyncio.wait_for(counting, SECONDS)


def test_a_ticker_sends_prices(snippet: Load) -> None:
    module = snippet("slow_consumers")
    with LiveServer(module.app) as server, connect(f"{server.ws_url}/prices") as client:
        module.hub.publish_threadsafe("warm-up", "x", timeout_s=SECONDS)
        module.hub.publish_threadsafe("prices", {"symbol": "A", "price": 1}, key="A", timeout_s=SECONDS)
        assert client.recv(timeout=SECONDS) == '{"symbol": "A", "price": 1}'


async def test_a_chat_has_history_typing_and_moderators(snippet: Load) -> None:
    module = snippet("everyday")
    async with Client(module.app) as client, client.websocket("/rooms/tea", query_string="who=ada") as ada:
        assert await ada.receive_media() == {"type": "welcome", "topic": "All about tea"}
        await ada.send_media("hello")
        hello = await ada.receive_media()
        assert hello["data"] == {"who": "ada", "text": "hello"}
        async with client.websocket("/rooms/tea", query_string="who=ben") as ben:
            assert (await ben.receive_media())["type"] == "welcome"
            assert await ben.receive_media() == hello
            await ben.send_media("typing")
            assert await ada.receive_media() == {"type": "typing", "who": "ben"}
            assert (await client.simulate_get("/rooms/tea")).json == [hello]
            older = await client.simulate_get("/rooms/tea", params={"before": hello["position"]})
            assert older.json == []
            removed = await client.simulate_delete("/rooms/tea/users/ben")
            assert removed.json == {"connections": 1}
            with pytest.raises(WebSocketDisconnected) as disconnected:
                await ben.receive_media()
            assert (disconnected.value.code, disconnected.value.reason) == (4403, "removed by a moderator")


async def test_the_latest_prices_come_first(snippet: Load) -> None:
    module = snippet("everyday")
    async with Client(module.app) as client:
        for symbol, price in [("A", 1), ("B", 2), ("A", 3)]:
            await module.set_price(module.prices, symbol, price)
        async with client.websocket("/prices") as ws:
            assert [await ws.receive_media() for _ in range(2)] == [
                {"symbol": "B", "price": 2},
                {"symbol": "A", "price": 3},
            ]


async def test_a_message_to_one_user_reaches_all_connections_of_this_user(snippet: Load) -> None:
    class NameFromQuery:
        async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            req.context.user = req.get_param("user")

    app: Any = snippet("everyday").app
    app.add_middleware(NameFromQuery())
    async with (
        Client(app) as client,
        client.websocket("/inbox/tea?user=ada") as ada,
        client.websocket("/inbox/tea?user=ben") as phone,
        client.websocket("/inbox/tea?user=ben") as laptop,
    ):
        # Each of them follows the room when it receives its own message.
        for ws, name in ((ada, "ada"), (phone, "ben"), (laptop, "ben")):
            await ws.send_media({"text": "here"})
            while (await ws.receive_media())["from"] != name:
                pass
        await ada.send_media({"to": "ben", "text": "hello"})
        for ws in (phone, laptop):
            while await ws.receive_media() != {"from": "ada", "text": "hello"}:
                pass
        await laptop.send_media({"text": "bye"})
        while (message := await ada.receive_media())["text"] != "bye":
            assert message["text"] == "here"


async def test_processes_share_the_work(snippet: Load) -> None:
    app, hub, mailer = snippet("work_once").make_app()
    async with Client(app):
        async with asyncio.timeout(SECONDS):
            while not mailer.sent:
                # Until the loop has begun, nobody gets the message.
                await hub.publish("orders", {"id": 17})
                await asyncio.sleep(0.01)
    assert mailer.sent[0] == {"id": 17}
