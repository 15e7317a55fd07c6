"""Middleware in both dialects: the proposal's and Falcon's."""

from __future__ import annotations

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
