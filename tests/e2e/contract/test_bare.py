"""The exceptions of the table on a bare ASGI application: they are limits of the servers.

Each test runs on the servers that the table says cannot keep its promise, where it has to fail in the same way as the
test of the application does, and on falconws' own engine, where it has to pass.
"""

from __future__ import annotations

import pytest

from .client import INVALID_UTF8, Peer, early_message, handshake, hang_up, leave_without_status, reset
from .promises import EXCEPTIONS
from .test_end import leaving
from .test_faults import ERRORS

pytestmark = pytest.mark.bare


@pytest.mark.promise("accept-headers")
async def test_accept_headers(peer: Peer) -> None:
    connection = await peer.connect("bare-accept-headers")
    assert connection.response is not None
    assert connection.response.headers.get("X-Contract") == "kept"


@pytest.mark.promise("lifespan-state")
async def test_lifespan_state(peer: Peer) -> None:
    await peer.refused("bare-state")
    assert str((await peer.saw("state"))["state"]) == "{'greeting': 'made at start-up'}"


@pytest.mark.promise("wait-before-accept")
async def test_wait_before_accept(peer: Peer) -> None:
    _, writer = await peer.raw(handshake(f"/bare-before-accept/{peer.run}"))
    await peer.saw("waiting")
    writer.transport.abort()
    assert (await peer.saw("state"))["code"] == 1006


@pytest.mark.promise("left-before-accept")
async def test_left_before_accept(peer: Peer) -> None:
    _, writer = await peer.raw(handshake(f"/bare-accept-late/{peer.run}"))
    await peer.saw("waiting")
    writer.transport.abort()
    await peer.open_gate("accept")
    assert (await peer.saw("disconnected"))["code"] == 1006


@pytest.mark.promise("deny")
async def test_deny(peer: Peer) -> None:
    assert (await peer.refused("bare-deny")).status_code == 429


@pytest.mark.promise("quiet-refusal")
async def test_quiet_refusal(peer: Peer) -> None:
    written = len(peer.server.output)
    assert (await peer.refused("bare-deny")).status_code == 429
    await peer.left()
    assert ERRORS.findall(peer.server.output[written:]) == []


@pytest.mark.promise("empty-messages")
async def test_empty_messages(peer: Peer) -> None:
    connection = await peer.connect("bare-send-empty")
    assert await peer.receive(connection) == ""


@pytest.mark.promise("close-reason-to-client")
async def test_close_reason_to_client(peer: Peer) -> None:
    connection = await peer.connect("bare-close", "code=4001")
    assert await peer.closed(connection) == (4001, "bare")


@pytest.mark.promise("protocol-code-to-client")
async def test_protocol_code_to_client(peer: Peer) -> None:
    connection = await peer.connect("bare-close", "code=1008")
    assert (await peer.closed(connection))[0] == 1008


@pytest.mark.promise("client-close-code")
async def test_client_close_code(peer: Peer) -> None:
    connection = await peer.connect("bare-receive")
    await connection.close(4123)
    assert (await peer.saw("disconnected"))["code"] == 4123


@pytest.mark.promise("client-close-reason")
async def test_client_close_reason(peer: Peer) -> None:
    connection = await peer.connect("bare-receive")
    await connection.close(4123, "tschüß")
    assert (await peer.saw("disconnected"))["reason"] == "tschüß"


@pytest.mark.promise("no-status")
async def test_no_status(peer: Peer) -> None:
    connection = await peer.connect("bare-receive")
    await leave_without_status(connection)
    note = await peer.saw("disconnected")
    assert (note["code"], note["reason"]) == (1005, "")


@pytest.mark.promise("lost")
@pytest.mark.parametrize("leave", [reset, hang_up])
async def test_lost(peer: Peer, leave: object) -> None:
    connection = await peer.connect("bare-receive")
    assert callable(leave)
    leave(connection)
    note = await peer.saw("disconnected")
    assert (note["code"], note["reason"]) == (1006, "")


@pytest.mark.promise("close-is-answered")
async def test_close_is_answered(peer: Peer) -> None:
    connection = await peer.connect("bare-answer-late")
    try:
        async with leaving(connection.close(4123)):
            await peer.closed(connection)
    finally:
        await peer.open_gate("done")


@pytest.mark.promise("invalid-utf8")
async def test_invalid_utf8(peer: Peer) -> None:
    connection = await peer.connect("bare-receive")
    connection.transport.write(INVALID_UTF8)
    assert (await peer.closed(connection))[0] == 1007


@pytest.mark.promise("invalid-utf8-to-app")
async def test_invalid_utf8_to_app(peer: Peer) -> None:
    connection = await peer.connect("bare-receive")
    connection.transport.write(INVALID_UTF8)
    assert (await peer.saw("disconnected"))["code"] == 1007


@pytest.mark.promise("quiet-client-fault")
async def test_quiet_client_fault(peer: Peer) -> None:
    written = len(peer.server.output)
    connection = await peer.connect("bare-receive")
    connection.transport.write(INVALID_UTF8)
    await peer.left()
    assert ERRORS.findall(peer.server.output[written:]) == []


@pytest.mark.promise("early-messages")
async def test_early_messages(peer: Peer) -> None:
    reader, writer = await peer.raw(handshake(f"/bare-echo-late/{peer.run}"))
    await peer.saw("waiting")
    writer.write(early_message("hello"))
    await peer.open_gate("accept")
    assert await peer.early_answer(reader, writer) == b"hello"


DERIVED = {
    # How falconws answers where the server has no denial response
    "http-error-before-accept": "deny",
    "http-error-in-middleware": "deny",
    "http-status-before-accept": "deny",
    "error-handler-before-accept": "deny",
    "fault-before-accept": "deny",
    "unknown-route": "deny",
    "base-exception-before-accept": "deny",
    "typed-refusal": "deny",
    # ... and where it refuses a close code
    "application-fault": "protocol-code-to-client",
    "undecodable-unhandled": "protocol-code-to-client",
    "payload-type-unhandled": "protocol-code-to-client",
    "base-exception": "protocol-code-to-client",
    "inexpressible-media": "protocol-code-to-client",
    "rate-limit": "protocol-code-to-client",
    "typed-too-many-errors": "protocol-code-to-client",
}


def test_every_exception_is_tried_on_a_bare_application() -> None:
    tried = {
        marker.args[0]
        for name, function in globals().items()
        if name.startswith("test_")
        for marker in getattr(function, "pytestmark", [])
        if marker.name == "promise"
    }
    assert {DERIVED.get(promise, promise) for _, promise in EXCEPTIONS} == tried
