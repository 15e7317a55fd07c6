"""Middleware in both dialects, the proposal's and Falcon's, and ASGI middleware around the application."""

from __future__ import annotations

import msgpack
import pytest

from .client import Peer

TRACE = {"X-Trace": "yes"}


@pytest.mark.promise("middleware")
async def test_both_dialects_run_in_order_around_routing(peer: Peer) -> None:
    connection = await peer.connect("echo", additional_headers=TRACE)
    await connection.send("hello")
    assert await peer.receive(connection) == "hello"
    await peer.saw("falcon.process_resource_ws")
    names = [note["event"] for note in peer.notes if "process_" in note["event"]]
    assert names == [
        "proposal.process_request_ws",
        "falcon.process_request_ws",
        "proposal.process_resource_ws",
        "falcon.process_resource_ws",
    ]
    assert (await peer.saw("proposal.process_request_ws"))["path"] == f"/echo/{peer.run}"
    resource_note = await peer.saw("proposal.process_resource_ws")
    assert (resource_note["resource"], resource_note["params"]) == ("Resource", ["run"])
    assert (await peer.saw("falcon.process_resource_ws"))["unaccepted"] is True


@pytest.mark.promise("middleware")
async def test_process_request_ws_runs_before_routing(peer: Peer) -> None:
    await peer.refused("nowhere", additional_headers=TRACE)
    await peer.saw("falcon.process_request_ws")
    await peer.left()
    assert peer.all("proposal.process_resource_ws") == []
    assert peer.all("falcon.process_resource_ws") == []


@pytest.mark.promise("middleware-refuses")
async def test_middleware_that_closes_refuses_with_403(peer: Peer) -> None:
    response = await peer.refused("return-without-accept", additional_headers={"X-Middleware": "close"})
    assert response.status_code == 403
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("middleware")
async def test_middleware_may_add_parameters(peer: Peer) -> None:
    # The responder of this route takes no further parameter, so this is the application's fault, and it is told.
    await peer.refused("echo", additional_headers={"X-Middleware": "params"})
    await peer.left()
    assert peer.log == [("ERROR", True)]


# Each method of a WebSocket that takes or sends an event; accept() is in all of them.
ASKED = {
    "text": ("question", "answered public"),
    "timeout": ("question", "answered public"),
    "data": (b"question", b"answered public"),
    "media": ('"question"', '"answered public"'),
    "binary-media": (msgpack.packb("question"), msgpack.packb("answered public")),
    "iteration": ('"question"', '"answered public"'),
    "iter-text": ("question", "answered public"),
    "iter-data": (b"question", b"answered public"),
    "task-scope": ("question", "answered public"),
    "payload": ("question", "answered public"),
    "iter-payloads": ("question", "answered public"),
    "iter-decoded": ("question", "answered public"),
    "cancelled": ("question", "answered public"),
    "concurrent": ("question", "answered public"),
    "room": ("question", "answered public"),
}


@pytest.mark.promise("asgi-middleware")
@pytest.mark.parametrize("via", ASKED)
async def test_asgi_middleware_sees_and_changes_every_message(peer: Peer, via: str) -> None:
    question, answer = ASKED[via]
    connection = await peer.connect("wrapped", f"via={via}")
    # One that the responder waits for, and several that wait for the responder.
    for count in (1, 5):
        for _ in range(count):
            await connection.send(question)
        for _ in range(count):
            assert await peer.receive(connection) == answer
    await connection.close()
    audit = await peer.saw("audited")
    assert audit["received"]["websocket.receive"] == 6
    assert audit["received"]["websocket.disconnect"] >= 1
    assert (audit["sent"]["websocket.accept"], audit["sent"]["websocket.send"]) == (1, 6)


@pytest.mark.promise("asgi-middleware")
async def test_asgi_middleware_sees_a_close(peer: Peer) -> None:
    connection = await peer.connect("wrapped", "via=close")
    assert await peer.receive(connection) == "public"
    assert (await peer.closed(connection))[0] == 4000
    assert (await peer.saw("audited"))["sent"] == {"websocket.accept": 1, "websocket.send": 1, "websocket.close": 1}


@pytest.mark.promise("asgi-middleware")
async def test_asgi_middleware_sees_a_refusal(peer: Peer) -> None:
    await peer.refused("wrapped", "via=deny")
    sent = (await peer.saw("audited"))["sent"]
    response = {"websocket.http.response.start": 1, "websocket.http.response.body": 1}
    assert sent in (response, {"websocket.close": 1})


@pytest.mark.promise("asgi-middleware")
async def test_asgi_middleware_sees_the_disconnect_of_a_responder_that_only_waits(peer: Peer) -> None:
    connection = await peer.connect("wrapped", "via=wait")
    await connection.close(4321)
    assert (await peer.saw("audited"))["received"] == {"websocket.connect": 1, "websocket.disconnect": 1}
