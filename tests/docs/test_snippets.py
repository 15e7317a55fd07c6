"""The snippets work as the pages tell."""

import asyncio
import difflib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import cbor2
import pytest
from websockets.asyncio.client import connect

import falconws
from falconws.testing import Client, HandshakeDenied, LiveServer

Load = Callable[[str], ModuleType]

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"


def test_the_types_hold_in_a_strict_project(tmp_path: Path) -> None:
    # The snippet of the extension is untyped code of a framework, not of an application. The files of the tutorial are
    # checked in their project.
    not_here = {"extension_fan_out.py", "tutorial"}
    paths = [path for path in sorted(SNIPPETS.rglob("*.py")) if not_here.isdisjoint(path.parts)]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *map(str, paths)]
    checked = subprocess.run(command, cwd=SNIPPETS.parents[1], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def denied(client: Client, path: str, **options: object) -> HandshakeDenied:
    with pytest.raises(HandshakeDenied) as denial:
        async with client.websocket(path, **options):
            pass
    return denial.value


class TestRejectAClient:
    async def test_close_before_accept_is_a_bare_403(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            denial = await denied(client, "/bare")
            assert (denial.status, denial.body) == (403, b"")
            async with client.websocket("/bare", headers={"X-Invitation": "1"}) as ws:
                assert ws.close_code is None

    async def test_an_http_error_is_the_response(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            denial = await denied(client, "/error")
        assert denial.status == 401
        assert denial.headers["www-authenticate"] == "Bearer"
        assert denial.media == {"title": "401 Unauthorized", "description": "A token is needed."}

    async def test_deny_sends_status_headers_and_media(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            denial = await denied(client, "/deny")
        assert (denial.status, denial.headers["retry-after"]) == (503, "30")
        assert denial.media == {"error": "The queue is full."}

    async def test_a_missing_subprotocol_is_a_400(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            assert (await denied(client, "/subprotocol")).status == 400
            async with client.websocket("/subprotocol", subprotocols=["soap", "wamp"]) as ws:
                assert ws.subprotocol == "wamp"

    async def test_after_accept_a_close_code_tells_why(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            async with client.websocket("/late") as ws:
                await ws.send_text("guess")
                assert await ws.wait_closed() == 4401
                assert ws.close_reason == "Wrong password"
            async with client.websocket("/late") as ws:
                await ws.send_text("password")
                assert await ws.receive_text() == "Welcome"

    async def test_middleware_refuses_before_routing(self, snippet: Load) -> None:
        async with Client(snippet("reject_a_client").guarded_app) as client:
            assert (await denied(client, "/no/such/route")).status == 401
            headers = {"Authorization": "Bearer secret", "X-Invitation": "1"}
            async with client.websocket("/bare", headers=headers) as ws:
                assert not ws.closed

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            ("https://example.com", True),
            ("https://shop.example.com", True),
            ("http://example.com", False),
            ("https://example.com.evil.example", False),
            (None, True),
        ],
    )
    async def test_origins(self, snippet: Load, origin: str | None, allowed: bool) -> None:
        async with Client(snippet("reject_a_client").app) as client:
            if not allowed:
                assert (await denied(client, "/subprotocol", origin=origin)).status == 403
                return
            async with client.websocket("/subprotocol", origin=origin, subprotocols=["wamp"]) as ws:
                assert not ws.closed


class TestStreamEvents:
    async def test_every_client_gets_each_event(self, snippet: Load) -> None:
        module = snippet("stream_events")
        async with (
            Client(module.app) as client,
            client.websocket("/price") as one,
            client.websocket("/price") as other,
        ):
            for ws in (one, other):
                assert await ws.receive_media() == {"price": 0.0}
            await module.prices.publish(1.5)
            for ws in (one, other):
                assert await ws.receive_media() == {"price": 1.5}
            assert (await client.simulate_get("/price")).json == {"price": 1.5}

    async def test_the_responder_ends_with_its_client_without_an_event(self, snippet: Load) -> None:
        async with Client(snippet("stream_events").app) as client, client.websocket("/price") as ws:
            await ws.receive_media()
            await ws.drop()


class TestTwoWayStreams:
    async def test_both_directions_work(self, snippet: Load) -> None:
        async with Client(snippet("two_way_streams").app) as client, client.websocket("/chat") as ws:
            for line in ("one", "two"):
                await ws.send_text(line)
            assert [await ws.receive_text() for _ in range(2)] == ["you said: one", "you said: two"]

    async def test_each_request_gets_its_answer(self, snippet: Load) -> None:
        async with Client(snippet("two_way_streams").app) as client, client.websocket("/words") as ws:
            await ws.send_media({"id": 7, "text": "two words"})
            assert await ws.receive_media() == {"id": 7, "words": 2}

    async def test_an_idle_client_is_closed(self, snippet: Load) -> None:
        async with Client(snippet("two_way_streams").app) as client, client.websocket("/idle") as ws:
            await ws.send_text("here")
            assert await ws.receive_text() == "here"
            assert await ws.wait_closed() == 4408


class TestCustomMedia:
    async def test_orjson_in_and_cbor_out(self, snippet: Load) -> None:
        async with Client(snippet("custom_media").app) as client, client.websocket("/mirror") as ws:
            await ws.send_text(json.dumps({"id": 7}))
            assert cbor2.loads(await ws.receive_data()) == {"id": 7}
            await ws.send_data(cbor2.dumps([1, 2]))
            assert cbor2.loads(await ws.receive_data()) == [1, 2]

    @pytest.mark.parametrize("payload", ["{", b"\xff"])
    async def test_an_undecodable_payload_closes_with_1007(self, snippet: Load, payload: str | bytes) -> None:
        async with Client(snippet("custom_media").app) as client, client.websocket("/mirror") as ws:
            await (ws.send_text(payload) if isinstance(payload, str) else ws.send_data(payload))
            assert await ws.wait_closed() == 1007


class TestMigrate:
    @pytest.mark.parametrize("name", ["falcon_app", "migrated_app"])
    async def test_both_apps_answer_alike(self, snippet: Load, name: str) -> None:
        async with Client(snippet(name).app) as client, client.websocket("/echo") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"

    def test_one_import_is_new_and_one_line_differs(self) -> None:
        before, after = ((SNIPPETS / f"{name}.py").read_text().split("\n") for name in ("falcon_app", "migrated_app"))
        changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-" and line[1:].strip()]
        assert changed == ["+ import falconws", "- app = falcon.asgi.App()", "+ app = falconws.App()"]


async def test_lifespan_state_is_on_the_request(snippet: Load) -> None:
    async with Client(snippet("lifespan_state").app) as client, client.websocket("/greeting") as ws:
        assert await ws.receive_text() == "hello"


async def test_an_error_handler_decides_the_close_code(snippet: Load) -> None:
    async with Client(snippet("error_handler").app) as client, client.websocket("/count") as ws:
        await ws.send_text("1")
        assert await ws.wait_closed() == 4429
        assert ws.close_reason == "Quota exceeded"


async def test_the_steps_of_a_connection_have_the_order_of_the_page(snippet: Load) -> None:
    module = snippet("life_of_a_connection")
    async with Client(module.app) as client, client.websocket("/rooms/7") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
    assert module.steps == [
        "process_startup",
        "process_request_ws /rooms/7",
        "process_resource_ws {'room_id': 7}",
        "on_websocket",
        "accepted",
        "received hello",
        "closed 1000",
        "process_shutdown",
    ]


def test_the_example_tests_pass() -> None:
    """They run in a separate pytest, as a reader runs them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        cwd=SNIPPETS / "testing",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


async def test_a_background_task_outlives_its_connection(snippet: Load) -> None:
    module = snippet("background_task")
    async with Client(module.app) as client:
        async with client.websocket("/orders") as ws:
            await ws.send_text("tea")
            assert await ws.receive_text() == "accepted"
        async with asyncio.timeout(20):
            assert await module.delivered.get() == "tea"


async def test_the_extension_broadcasts_and_slow_connections_catch_up(snippet: Load) -> None:
    module = snippet("extension_fan_out")
    catch_up, behind = module.catch_up, []

    def counted(connection: Any) -> None:
        behind.append(len(module.behind[connection]))
        catch_up(connection)

    module.catch_up = counted
    count = 120
    with LiveServer(module.app, ws="falconws.server:WebSocketProtocol") as server:
        async with (
            asyncio.timeout(20),
            connect(server.ws_url, max_queue=1) as slow,
            connect(server.ws_url) as quick,
        ):
            for number in range(count):
                await quick.send(f"{number}:".ljust(100_000, "x"))
                assert str(await quick.recv()).startswith(f"{number}:")
            # It has not read yet: more data waits than the server holds for a connection.
            assert [str(await slow.recv()).partition(":")[0] for _ in range(count)] == [str(n) for n in range(count)]
    assert behind


class TestAuthenticate:
    AUTHORIZED: ClassVar = {"Authorization": "Bearer secret"}

    async def test_a_token_in_the_header_names_the_user(self, snippet: Load) -> None:
        async with Client(snippet("authenticate").app) as client:
            async with client.websocket("/chat", headers=self.AUTHORIZED) as ws:
                await ws.send_text("hello")
                assert await ws.receive_text() == "ada: hello"
            for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic secret"}):
                denial = await denied(client, "/chat", headers=headers)
                assert (denial.status, denial.headers["www-authenticate"]) == (401, "Bearer")

    async def test_a_ticket_is_valid_once(self, snippet: Load) -> None:
        async with Client(snippet("authenticate").app) as client:
            assert (await client.simulate_post("/tickets")).status_code == 401
            ticket = (await client.simulate_post("/tickets", headers=self.AUTHORIZED)).json["ticket"]
            async with client.websocket(f"/chat?ticket={ticket}") as ws:
                await ws.send_text("hello")
                assert await ws.receive_text() == "ada: hello"
            assert (await denied(client, f"/chat?ticket={ticket}")).status == 401

    def test_a_ticket_expires(self, snippet: Load) -> None:
        tickets = snippet("authenticate").Tickets(lifetime_s=0.0)
        assert tickets.redeem(tickets.issue("ada")) is None

    async def test_without_a_first_message_the_connection_is_closed(self, snippet: Load) -> None:
        module = snippet("authenticate")
        module.open_app.add_route("/quick", module.FirstMessageResource(module.users, timeout_s=0.01))
        async with Client(module.open_app) as client, client.websocket("/quick") as ws:
            assert await ws.wait_closed() == 4401

    async def test_with_a_wrong_first_message_the_connection_is_closed(self, snippet: Load) -> None:
        async with Client(snippet("authenticate").open_app) as client, client.websocket("/hello") as ws:
            await ws.send_text("guess")
            assert await ws.wait_closed() == 4401

    async def test_a_valid_first_message_is_answered(self, snippet: Load) -> None:
        async with Client(snippet("authenticate").open_app) as client, client.websocket("/hello") as ws:
            await ws.send_text("secret")
            assert await ws.receive_text() == "Hello ada"

    async def test_an_expired_session_is_closed(self, snippet: Load) -> None:
        app = snippet("authenticate").app
        async with Client(app) as client, client.websocket("/session", headers=self.AUTHORIZED) as ws:
            assert await ws.wait_closed() == 4401
            assert ws.close_reason == "The session has expired"


async def test_a_chat_of_a_few_lines_broadcasts_to_its_room(snippet: Load) -> None:
    async with (
        Client(snippet("chat").app) as client,
        client.websocket("/chat/lobby") as ada,
        client.websocket("/chat/lobby") as grace,
        client.websocket("/chat/other") as other,
    ):
        # Each client hears itself, and so is subscribed.
        for ws, name in ((other, "other"), (ada, "ada"), (grace, "grace")):
            await ws.send_text(name)
            while await ws.receive_text() != name:
                pass
        await ada.send_text("hello")
        assert await grace.receive_text() == "hello"
        assert [await ada.receive_text() for _ in range(2)] == ["grace", "hello"]
        await other.send_text("alone")
        assert await other.receive_text() == "alone"


async def test_an_order_that_is_sent_twice_is_stored_once(snippet: Load, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/orders.db"
    async with (
        Client(snippet("database").create_app(url)) as client,
        client.websocket("/orders") as one,
        client.websocket("/orders") as other,
    ):
        for ws in (one, one, other):
            await ws.send_media({"id": "a", "item": "tea"})
            assert await ws.receive_media() == {"confirmed": "a", "items": ["tea"]}


async def test_the_metrics_count_messages(snippet: Load) -> None:
    module = snippet("metrics")
    async with Client(module.app) as client:
        await module.hub.publish("reports", "ready")
        response = await client.simulate_get("/metrics")
    assert "falconws_hub_published 1\n" in response.text
    assert "falconws_hub_up 1\n" in response.text
    assert all(re.fullmatch(r"\w+ [\d.e-]+", line) for line in response.text.splitlines())


def test_a_user_may_send_a_burst_and_then_at_the_rate(snippet: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = snippet("rate_limit")
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    limits = module.UserLimits(rate=5, burst=20, max_users=2)
    assert [limits.take("ada") for _ in range(21)] == [True] * 20 + [False]
    assert limits.take("grace")
    now = 0.4
    assert [limits.take("ada") for _ in range(3)] == [True, True, False]
    # Two users are remembered, those who sent last.
    assert limits.take("linus")
    assert len(limits._tokens) == 2


async def test_a_user_that_sends_too_much_is_closed_with_1008(snippet: Load) -> None:
    module = snippet("rate_limit")
    module.app.ws_options.rate_limit = None
    async with Client(module.app) as client, client.websocket("/chat?user=ada") as ws:
        with pytest.raises(falconws.WebSocketDisconnected):
            while True:
                await ws.send_text("again")
        assert await ws.wait_closed() == 1008
