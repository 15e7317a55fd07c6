"""What goes wrong, whose fault it is, and what the client and the log are told."""

from __future__ import annotations

import re

import msgpack
import pytest

from .client import INVALID_UTF8, Peer, reset


def names_the_client(peer: Peer, address: tuple[str, int]) -> bool:
    (line,) = [note for note in peer.all("log") if note["logger"].startswith("falcon")]
    return f"{address[0]}:{address[1]}" in line["message"]


@pytest.mark.promise("application-fault")
async def test_a_fault_of_the_application_is_1011_and_a_traceback(peer: Peer) -> None:
    connection = await peer.connect("fail")
    assert (await peer.closed(connection))[0] == 1011
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("ERROR", True)]


@pytest.mark.promise("error-close-code")
async def test_the_code_for_faults_can_be_set(peer: Peer) -> None:
    connection = await peer.connect("custom-error-code")
    assert (await peer.closed(connection))[0] == 4500


@pytest.mark.promise("error-close-code")
async def test_3011_stands_in_for_a_code_for_faults_that_cannot_be_sent(peer: Peer) -> None:
    connection = await peer.connect("unusable-error-code")
    assert (await peer.closed(connection))[0] == 3011


@pytest.mark.promise("http-error-after-accept")
@pytest.mark.parametrize(("kind", "code"), [("404", 3404), ("status", 3204), ("kettle", 3409)])
async def test_an_http_error_after_accept_is_3000_plus_its_status(peer: Peer, kind: str, code: int) -> None:
    connection = await peer.connect("fail", f"kind={kind}")
    assert (await peer.closed(connection))[0] == code
    assert (await peer.left())["kinds"] == []
    # Falcon logs that it closed, at level ERROR; it is no fault, so there is no traceback.
    assert [traceback for _, traceback in peer.log] == [False]


@pytest.mark.promise("error-handlers")
async def test_an_error_handler_gets_the_websocket(peer: Peer) -> None:
    connection = await peer.connect("fail", "kind=teapot")
    assert (await peer.closed(connection))[0] == 4418
    note = await peer.saw("teapot handled")
    assert (note["ws"], note["resp"], note["params"]) == ("WebSocket", True, ["run"])


@pytest.mark.promise("error-handlers")
async def test_an_error_handler_without_the_ws_argument_works(peer: Peer) -> None:
    connection = await peer.connect("fail", "kind=kettle")
    await peer.closed(connection)
    await peer.saw("kettle handled")


@pytest.mark.promise("undecodable-unhandled")
@pytest.mark.parametrize("message", ["{", "NaN", "1e400", r'"\ud800"', b"\xc1", b"\xc7\x0c\xff" + b"\xff" * 12])
@pytest.mark.parametrize("where", ["responder", "task-group"])
async def test_an_unhandled_undecodable_payload_is_1007_and_one_log_line(
    peer: Peer, message: str | bytes, where: str
) -> None:
    connection = await peer.connect("receive-unhandled", f"what=media&in={where}")
    address = connection.local_address
    await connection.send(message)
    assert (await peer.closed(connection))[0] == 1007
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]
    assert names_the_client(peer, address)


INEXPRESSIBLE: dict[str, tuple[str, str | bytes]] = {
    # MessagePack has these, JSON has not.
    "bytes": ("text", msgpack.packb({"it": b"\xff"})),
    "infinity": ("text", msgpack.packb({"it": float("inf")})),
    "timestamp": ("text", msgpack.packb({"it": msgpack.Timestamp(1)})),
    "bytes-as-key": ("text", msgpack.packb({"it": {b"\xff": 1}})),
    # JSON has no limit for integers.
    "large-integer": ("binary", '{"it": 1180591620717411303424}'),
}


@pytest.mark.promise("inexpressible-media")
@pytest.mark.parametrize("how", ["iteration", "part", "one-of-it", "task-group", "task-scope"])
@pytest.mark.parametrize("what", INEXPRESSIBLE)
async def test_what_the_other_media_handler_cannot_express_is_1007_and_one_log_line(
    peer: Peer, what: str, how: str
) -> None:
    kind, message = INEXPRESSIBLE[what]
    connection = await peer.connect("convert", f"to={kind}&as={how}")
    address = connection.local_address
    await connection.send(message)
    assert (await peer.closed(connection))[0] == 1007
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]
    assert names_the_client(peer, address)


@pytest.mark.promise("application-fault")
@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_what_the_application_itself_cannot_express_is_its_fault(peer: Peer, kind: str) -> None:
    connection = await peer.connect("convert", f"to={kind}&as=own-fault")
    await connection.send('{"it": 1}')
    assert (await peer.closed(connection))[0] == 1011
    await peer.left()
    assert peer.log == [("ERROR", True)]


@pytest.mark.promise("payload-type-unhandled")
@pytest.mark.parametrize(("what", "message"), [("text", b"data"), ("data", "text")])
@pytest.mark.parametrize("where", ["responder", "task-group"])
async def test_an_unhandled_wrong_payload_type_is_1003_and_one_log_line(
    peer: Peer, what: str, message: str | bytes, where: str
) -> None:
    connection = await peer.connect("receive-unhandled", f"what={what}&in={where}")
    address = connection.local_address
    await connection.send(message)
    assert (await peer.closed(connection))[0] == 1003
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]
    assert names_the_client(peer, address)


@pytest.mark.promise("disconnect-unhandled")
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_an_unhandled_disconnect_is_one_warning(peer: Peer, leave: str) -> None:
    connection = await peer.connect("receive-unhandled", "what=text")
    address = connection.local_address
    if leave == "close":
        await connection.close(4321)
    else:
        reset(connection)
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("WARNING", False)]
    assert names_the_client(peer, address)


@pytest.mark.promise("invalid-utf8")
async def test_invalid_utf8_in_a_text_message_is_1007(peer: Peer) -> None:
    connection = await peer.connect("echo")
    connection.transport.write(INVALID_UTF8)
    assert (await peer.closed(connection))[0] == 1007


@pytest.mark.promise("invalid-utf8-to-app")
async def test_the_app_learns_that_the_client_sent_invalid_utf8(peer: Peer) -> None:
    connection = await peer.connect("echo")
    connection.transport.write(INVALID_UTF8)
    assert (await peer.saw("disconnected"))["code"] == 1007
    assert (await peer.left())["kinds"] == []


ERRORS = re.compile(r"Traceback|\bERROR\b|\bCRITICAL\b|Unhandled|\[FAIL\]")


@pytest.mark.promise("quiet-refusal")
async def test_a_refusal_leaves_no_error_in_the_servers_log(peer: Peer) -> None:
    written = len(peer.server.output)
    await peer.refused("http-error", "kind=429")
    await peer.left()
    assert ERRORS.findall(peer.server.output[written:]) == []


@pytest.mark.promise("quiet-disconnect")
@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("name", ["echo", "send-only", "wait-only"])
async def test_a_client_that_is_gone_leaves_no_error_in_the_servers_log(peer: Peer, name: str, leave: str) -> None:
    written = len(peer.server.output)
    connection = await peer.connect(name)
    if name == "send-only":
        await peer.open_gate("send")
        assert await peer.receive(connection) == "started"
    if leave == "close":
        await connection.close()
    else:
        reset(connection)
    assert (await peer.left())["kinds"] == []
    assert ERRORS.findall(peer.server.output[written:]) == []


@pytest.mark.promise("quiet-client-fault")
async def test_invalid_utf8_leaves_no_error_in_the_servers_log(peer: Peer) -> None:
    written = len(peer.server.output)
    connection = await peer.connect("echo")
    connection.transport.write(INVALID_UTF8)
    await peer.left()
    assert ERRORS.findall(peer.server.output[written:]) == []
