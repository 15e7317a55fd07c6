"""No exception of the application ends more than its own connection, of whatever class, wherever it is raised."""

from __future__ import annotations

import pytest

from .client import Peer, reset

KINDS = ("SystemExit", "KeyboardInterrupt", "CancelledError", "OddError")

AFTER_ACCEPT = ("responder", "iteration", "error-handler", "scope-child", "scope-body")
BEFORE_ACCEPT = ("before-accept", "request-middleware", "resource-middleware", "hook")


@pytest.mark.promise("base-exception")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", AFTER_ACCEPT)
async def test_after_accept_it_is_1011_and_a_traceback_and_the_others_go_on(peer: Peer, kind: str, where: str) -> None:
    other = await peer.connect("echo")
    connection = await peer.connect("fault", f"where={where}&kind={kind}")
    if where == "iteration":
        await connection.send("go")
    # A task of a scope that is cancelled has just ended; the responder itself fails afterwards.
    assert (await peer.closed(connection))[0] == 1011
    assert (await peer.saw("left the app"))["kinds"] == []
    assert ("ERROR", True) in peer.log
    await other.send("still here")
    assert await peer.receive(other) == "still here"


@pytest.mark.promise("base-exception-before-accept")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", BEFORE_ACCEPT)
async def test_before_accept_it_is_a_500_and_a_traceback(peer: Peer, kind: str, where: str) -> None:
    response = await peer.refused("fault", f"where={where}&kind={kind}")
    assert response.status_code == 500
    assert (await peer.left())["kinds"] == []
    assert ("ERROR", True) in peer.log


@pytest.mark.promise("base-exception")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_sink_is_no_exception(peer: Peer, kind: str) -> None:
    connection = await peer.connect("fault-sink", f"kind={kind}")
    assert (await peer.closed(connection))[0] == 1011


@pytest.mark.promise("base-exception-in-a-task")
@pytest.mark.parametrize("kind", KINDS)
async def test_in_a_background_task_it_is_a_log_line(peer: Peer, kind: str) -> None:
    connection = await peer.connect("fault", f"where=background-task&kind={kind}")
    assert (await peer.closed(connection))[0] == 4000
    if kind != "CancelledError":
        await peer.left()
        assert ("ERROR", True) in peer.log


@pytest.mark.promise("base-exception-http")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["responder", "http-middleware"])
async def test_a_request_gets_a_500(peer: Peer, kind: str, where: str) -> None:
    other = await peer.connect("echo")
    response = await peer.get("fault", f"where={where}&kind={kind}")
    assert response[0] == 500
    await other.send("still here")
    assert await peer.receive(other) == "still here"


@pytest.mark.promise("disconnect-in-a-group")
@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("what", ["one", "two", "nested"])
async def test_a_group_of_disconnects_is_a_disconnect(peer: Peer, what: str, leave: str) -> None:
    connection = await peer.connect("group", f"with={what}")
    if leave == "close":
        await connection.close()
    else:
        reset(connection)
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]


@pytest.mark.promise("disconnect-in-a-group")
async def test_a_fault_beside_the_disconnect_is_a_traceback(peer: Peer) -> None:
    connection = await peer.connect("group", "with=fault")
    await connection.close()
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("ERROR", True)]
