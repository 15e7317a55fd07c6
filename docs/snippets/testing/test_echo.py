import falconws
import pytest
from falconws.testing import Client, HandshakeDenied, LiveServer
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


# start: echo
async def test_each_text_comes_back(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
        # end: echo


# start: close
async def test_bye_closes_with_a_code(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        await ws.send_text("bye")
        with pytest.raises(falconws.WebSocketDisconnected) as closed:
            await ws.receive_text()
        assert (closed.value.code, closed.value.reason) == (4000, "Goodbye")
        # end: close


# start: refused
async def test_other_origins_are_refused(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/echo", origin="https://elsewhere.example"):
            pass
    assert denied.value.status == 403
    # end: refused


# start: gone
async def test_a_client_that_vanishes_ends_the_responder(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        await ws.drop()
    # The end of the block waits for the responder, and fails if it does not end.
    # end: gone


# start: broadcast
async def test_a_message_reaches_all_clients_of_a_room(client: Client) -> None:
    headers = {"Authorization": "Bearer secret"}
    async with (
        client.websocket("/rooms/lobby", headers=headers) as ada,
        client.websocket("/rooms/lobby", headers=headers) as grace,
    ):
        for ws in (ada, grace):
            assert await ws.receive_text() == "welcome"
        await ada.send_text("hello")
        assert [await ada.receive_text(), await grace.receive_text()] == ["hello", "hello"]
        # end: broadcast


# start: unauthorized
async def test_a_client_without_a_token_gets_a_401(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/rooms/lobby"):
            pass
    assert (denied.value.status, denied.value.headers["www-authenticate"]) == (401, "Bearer")
    # end: unauthorized


# start: live
async def test_the_subprotocol_is_chosen_on_a_real_server(live_server: LiveServer) -> None:
    async with connect(f"{live_server.ws_url}/echo", subprotocols=[Subprotocol("echo")]) as ws:
        assert ws.subprotocol == "echo"
        await ws.send("hello")
        assert await ws.recv() == "hello"
        # end: live
