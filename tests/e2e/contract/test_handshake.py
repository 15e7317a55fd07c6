"""From the request to the open connection."""

from __future__ import annotations

import json

import pytest

from .client import Peer, handshake, hang_up


@pytest.mark.promise("handshake-request")
async def test_the_responder_sees_headers_query_cookies_and_template_parameters(peer: Peer) -> None:
    headers = {"Some-Header": "some value", "Cookie": "session=s3cret"}
    connection = await peer.connect("acme/messages", "since=5&tag=a,b", additional_headers=headers)
    assert json.loads(await peer.receive(connection)) == {
        "account": "acme",
        "header": "some value",
        "missing": None,
        "query": {"since": "5", "tag": "a,b"},
        "cookie": "s3cret",
        "host": "127.0.0.1",
        "port": peer.server.port,
        "path": f"/acme/messages/{peer.run}",
    }


@pytest.mark.promise("http-beside-websocket")
async def test_one_resource_serves_http_and_websocket(peer: Peer) -> None:
    assert await peer.get("acme/messages") == (200, b'{"account": "acme"}')
    connection = await peer.connect("acme/messages")
    assert b'"acme"' in (await connection.recv(decode=False))


@pytest.mark.promise("routing")
async def test_a_suffix_picks_the_other_responder(peer: Peer) -> None:
    connection = await peer.connect("acme/other")
    assert await peer.receive(connection) == "other responder for acme"


@pytest.mark.promise("routing")
async def test_a_sink_takes_what_no_route_does(peer: Peer) -> None:
    connection = await peer.connect("sink/kitchen")
    assert await peer.receive(connection) == "sink for kitchen"


@pytest.mark.promise("routing")
async def test_a_before_hook_runs_and_adds_parameters(peer: Peer) -> None:
    connection = await peer.connect("hooked")
    assert await peer.receive(connection) == "by the hook"


@pytest.mark.promise("subprotocol")
async def test_the_subprotocol_is_negotiated(peer: Peer) -> None:
    connection = await peer.connect("subprotocol", subprotocols=["chat", "wamp"])
    assert connection.subprotocol == "wamp"
    assert await peer.receive(connection) == "hello"
    assert (await peer.saw("offered"))["subprotocols"] == ["chat", "wamp"]
    assert (await peer.saw("offered"))["before"] is None
    assert (await peer.saw("accepted"))["subprotocol"] == "wamp"


@pytest.mark.promise("return-without-accept")
async def test_without_a_fitting_subprotocol_returning_refuses_with_403(peer: Peer) -> None:
    response = await peer.refused("subprotocol", subprotocols=["chat"])
    assert response.status_code == 403
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("return-without-accept")
async def test_returning_without_accept_refuses_with_403(peer: Peer) -> None:
    response = await peer.refused("return-without-accept")
    assert response.status_code == 403
    assert "upgrade" not in response.headers


@pytest.mark.promise("close-before-accept")
@pytest.mark.parametrize("query", ["", "code=4001", "code=1000"])
async def test_close_before_accept_refuses_with_403(peer: Peer, query: str) -> None:
    response = await peer.refused("close-before-accept", query)
    assert response.status_code == 403
    assert "upgrade" not in response.headers
    note = await peer.saw("closed")
    assert (note["closed"], note["unaccepted"], note["ready"]) == (True, False, False)


@pytest.mark.promise("accept-headers")
@pytest.mark.parametrize("query", ["mapping=true", "mapping=false"])
async def test_headers_given_to_accept_reach_the_client(peer: Peer, query: str) -> None:
    connection = await peer.connect("accept-headers", query)
    assert connection.response is not None
    assert connection.response.headers.get("X-Contract") == "kept"
    cookies = connection.response.headers.get_all("Set-Cookie")
    assert cookies == (["a=1"] if query == "mapping=true" else ["a=1", "b=2"])


@pytest.mark.promise("states")
async def test_states_and_what_may_be_done_in_each(peer: Peer) -> None:
    connection = await peer.connect("states")
    assert await peer.closed(connection) == (4000, "")
    await peer.left()

    def state(event: str) -> tuple[bool, bool, bool, int | None]:
        (note,) = peer.all(event)
        return note["unaccepted"], note["ready"], note["closed"], note["code"]

    assert state("before accept") == (True, False, False, None)
    assert state("after accept") == (False, True, False, None)
    assert state("after close") == (False, False, True, 4000)
    assert state("after three closes") == (False, False, True, 4000)
    for event in ("send before accept", "receive before accept", "second accept", "deny after accept"):
        assert peer.all(event)[0]["kinds"][0] == "OperationNotAllowed", event
    for event in ("send after close", "receive after close"):
        assert peer.all(event)[0]["kinds"][0] == "WebSocketDisconnected", event
        assert peer.all(event)[0]["code"] == 4000


@pytest.mark.promise("left-before-accept")
async def test_accept_tells_that_the_client_left_during_the_handshake(peer: Peer) -> None:
    await open_and_leave(peer, "how=accept")
    await peer.open_gate("accept")
    assert (await peer.saw("disconnected"))["code"] == 1006
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("wait-before-accept")
async def test_wait_disconnected_tells_that_the_client_left_during_the_handshake(peer: Peer) -> None:
    await open_and_leave(peer, "how=wait")
    note = await peer.saw("state")
    assert (note["code"], note["closed"]) == (1006, True)


async def open_and_leave(peer: Peer, query: str) -> None:
    _, writer = await peer.raw(handshake(f"/before-accept/{peer.run}?{query}"))
    await peer.saw("waiting")
    writer.transport.abort()


@pytest.mark.promise("lifespan-state")
async def test_lifespan_state_is_reachable_from_the_request(peer: Peer) -> None:
    connection = await peer.connect("state")
    assert await peer.receive(connection) == '{"greeting": "made at start-up"}'
    hang_up(connection)
