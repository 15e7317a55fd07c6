"""The end of a connection: both sides learn the truth about it, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from .client import Peer, hang_up, leave_without_status, reset

# The app closes


@pytest.mark.promise("close-code-to-client")
@pytest.mark.parametrize("code", [1000, 3000, 4999])
async def test_the_client_sees_the_applications_own_code(peer: Peer, code: int) -> None:
    connection = await peer.connect("close", f"code={code}")
    assert (await peer.closed(connection))[0] == code
    note = await peer.saw("closed")
    assert (note["code"], note["closed"], note["ready"]) == (code, True, False)


@pytest.mark.promise("protocol-code-to-client")
@pytest.mark.parametrize("code", [1001, 1003, 1008, 1011, 1012, 1013])
async def test_the_client_sees_a_code_of_the_protocol(peer: Peer, code: int) -> None:
    connection = await peer.connect("close", f"code={code}")
    assert (await peer.closed(connection))[0] == code


@pytest.mark.promise("close-reason-to-client")
async def test_the_client_sees_the_reason(peer: Peer) -> None:
    connection = await peer.connect("close", "code=4001&reason=tsch%C3%BC%C3%9F")
    assert await peer.closed(connection) == (4001, "tschüß")
    assert (await peer.saw("closed"))["reason"] == "tschüß"


@pytest.mark.promise("close-reason-to-client")
async def test_3000_plus_status_has_the_phrase_as_its_reason(peer: Peer) -> None:
    connection = await peer.connect("close", "code=3404")
    assert await peer.closed(connection) == (3404, "Not Found")


@pytest.mark.promise("close-default")
@pytest.mark.parametrize("name", ["close", "return"])
async def test_closing_and_returning_close_with_1000(peer: Peer, name: str) -> None:
    connection = await peer.connect(name)
    assert (await peer.closed(connection))[0] == 1000


@pytest.mark.promise("invalid-close")
async def test_an_invalid_code_or_reason_is_refused_before_anything_is_sent(peer: Peer) -> None:
    connection = await peer.connect("invalid-close")
    assert await peer.receive(connection) == "still open"
    assert (await peer.closed(connection))[0] == 4999
    await peer.left()
    refused = peer.all("refused")
    assert [note["code"] for note in refused] == [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, 4000]
    assert all(note["ready"] and note["text"] for note in refused)


@pytest.mark.promise("close-while-receiving")
async def test_a_receiver_is_told_that_another_task_closed(peer: Peer) -> None:
    connection = await peer.connect("close-while-receiving")
    await peer.open_gate("close")
    assert (await peer.closed(connection))[0] == 4003
    note = await peer.saw("receiver ended")
    assert (note["code"], note["reason"]) == (4003, "enough")
    assert (await peer.left())["kinds"] == []


# The client leaves; each way to leave, in each thing that the responder may be doing


async def start(peer: Peer, name: str) -> ClientConnection:
    connection = await peer.connect(name)
    if name == "send-only":
        assert await peer.receive(connection) == "started"
    elif name in ("wait-only", "poll-closed"):
        await peer.saw("waiting")
    return connection


@asynccontextmanager
async def leaving(farewell: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Leave while the block looks at the server's side: some servers answer only when the responder has ended."""
    task = asyncio.create_task(farewell)
    try:
        yield
        await task
    finally:
        task.cancel()


async def end_seen(peer: Peer, name: str) -> tuple[int, str]:
    if name == "echo":
        note = await peer.saw("disconnected")
    else:
        if name == "send-only":
            await peer.open_gate("send")
            await peer.saw("disconnected")
        note = await peer.saw("state")
        assert (note["closed"], note["ready"]) == (True, False)
    assert (await peer.left())["kinds"] == []
    assert peer.log == []
    return note["code"], note["reason"]


DOING = pytest.mark.parametrize("doing", ["echo", "send-only", "wait-only", "poll-closed"])


@pytest.mark.promise("client-close-code")
@DOING
@pytest.mark.parametrize("code", [1000, 1001, 3000, 4123])
async def test_the_app_sees_the_clients_code(peer: Peer, doing: str, code: int) -> None:
    connection = await start(peer, doing)
    async with leaving(connection.close(code)):
        assert (await end_seen(peer, doing))[0] == code


@pytest.mark.promise("client-close-reason")
@DOING
async def test_the_app_sees_the_clients_reason(peer: Peer, doing: str) -> None:
    connection = await start(peer, doing)
    async with leaving(connection.close(4123, "tschüß")):
        assert (await end_seen(peer, doing))[1] == "tschüß"


@pytest.mark.promise("no-status")
@DOING
async def test_a_close_without_a_code_is_1005(peer: Peer, doing: str) -> None:
    connection = await start(peer, doing)
    async with leaving(leave_without_status(connection)):
        assert await end_seen(peer, doing) == (1005, "")


@pytest.mark.promise("lost")
@DOING
@pytest.mark.parametrize("leave", [reset, hang_up])
async def test_a_lost_connection_is_1006(peer: Peer, doing: str, leave: object) -> None:
    connection = await start(peer, doing)
    assert callable(leave)
    leave(connection)
    assert await end_seen(peer, doing) == (1006, "")


@pytest.mark.promise("learns-of-disconnect")
@DOING
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_responder_learns_of_a_disconnect_whatever_it_does(peer: Peer, doing: str, leave: str) -> None:
    connection = await start(peer, doing)
    if leave == "reset":
        reset(connection)
        await end_seen(peer, doing)
    else:
        async with leaving(connection.close()):
            await end_seen(peer, doing)


@pytest.mark.promise("learns-behind-unread")
@pytest.mark.parametrize("doing", ["send-only", "wait-only", "poll-closed"])
async def test_a_responder_learns_of_a_disconnect_behind_unread_messages(peer: Peer, doing: str) -> None:
    connection = await start(peer, doing)
    for number in range(2000):
        await connection.send(f"unread {number}")
    async with leaving(connection.close()):
        await end_seen(peer, doing)


@pytest.mark.promise("disconnect-grace")
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_responder_that_goes_on_without_its_client_is_cancelled(peer: Peer, leave: str) -> None:
    connection = await peer.connect("custom-disconnect-grace")
    await peer.saw("waiting")
    if leave == "reset":
        reset(connection)
        assert (await peer.left())["kinds"] == []
    else:
        async with leaving(connection.close()):
            assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]
    assert "ws_options.disconnect_grace_s" in peer.all("log")[0]["message"]


@pytest.mark.promise("close-is-answered")
async def test_the_closing_handshake_is_answered_while_the_responder_is_busy(peer: Peer) -> None:
    connection = await peer.connect("busy")
    await peer.saw("busy")
    try:
        async with leaving(connection.close(4123)):
            await peer.closed(connection)
    finally:
        await peer.open_gate("done")
