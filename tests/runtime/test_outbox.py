import asyncio

import falcon
import pytest

from falconws import WebSocketDisconnected
from falconws.stream import Inbox, Outbox
from tests.runtime.scripted import ScriptedServer


@pytest.fixture
async def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
async def outbox(server: ScriptedServer) -> Outbox:
    return Outbox(server.send, Inbox(server.receive, 4, 0, cancellable=True, reason_given=True))


async def test_concurrent_senders_take_turns_first_come_first_served(server: ScriptedServer, outbox: Outbox) -> None:
    server.gate.clear()
    senders = [asyncio.create_task(outbox.put(str(number))) for number in range(20)]
    await asyncio.sleep(0)
    server.gate.set()
    latecomer = asyncio.create_task(outbox.put("last"))
    await asyncio.gather(*senders, latecomer)
    assert [event["text"] for event in server.sent] == [*map(str, range(20)), "last"]


async def test_a_cancelled_sender_gives_its_turn_away(server: ScriptedServer, outbox: Outbox) -> None:
    server.gate.clear()
    senders = [asyncio.create_task(outbox.put(str(number))) for number in range(4)]
    await asyncio.sleep(0)
    senders[1].cancel()
    await asyncio.sleep(0)
    # The gate opens and the third one, whose turn comes with it, is cancelled in the same instant.
    server.gate.set()
    await senders[0]
    senders[2].cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    sent = [event["text"] for event in server.sent]
    assert sent[0] == "0"
    assert sent[-1] == "3"
    assert "1" not in sent


async def test_after_a_failure_the_next_sender_is_told_too(server: ScriptedServer, outbox: Outbox) -> None:
    server.gate.clear()
    server.failure = OSError("gone")
    server.disconnect(code=4000, reason="enough")
    senders = [asyncio.create_task(outbox.put(str(number))) for number in range(3)]
    await asyncio.sleep(0)
    server.gate.set()
    for error in await asyncio.gather(*senders, return_exceptions=True):
        assert isinstance(error, WebSocketDisconnected)
        assert (error.code, error.reason) == (4000, "enough")
    assert server.sent == []


@pytest.mark.parametrize(
    "failure", [OSError("gone"), BrokenPipeError(), RuntimeError("after sending 'websocket.close'")]
)
async def test_a_failed_send_tells_how_the_connection_ended(
    server: ScriptedServer, outbox: Outbox, failure: Exception
) -> None:
    server.failure = failure
    server.put(*"unread messages")
    server.disconnect(code=1001, reason="closed the tab")
    with pytest.raises(WebSocketDisconnected) as caught:
        await outbox.put("x")
    assert (caught.value.code, caught.value.reason) == (1001, "closed the tab")
    assert caught.value.__cause__ is failure


async def test_an_oserror_without_news_is_1006(
    server: ScriptedServer, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.stream._LEARN_END_S", 0.01)
    server.failure = ConnectionResetError()
    with pytest.raises(WebSocketDisconnected) as caught:
        await outbox.put("x")
    assert caught.value.code == 1006


async def test_a_runtimeerror_on_a_living_connection_is_what_it_is(
    server: ScriptedServer, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.stream._LEARN_END_S", 0.01)
    server.failure = RuntimeError("server bug")
    with pytest.raises(RuntimeError, match="server bug"):
        await outbox.put("x")


async def test_falcons_test_client_says_it_with_its_own_error(server: ScriptedServer, outbox: Outbox) -> None:
    server.failure = falcon.WebSocketDisconnected(4001)
    with pytest.raises(WebSocketDisconnected) as caught:
        await outbox.put("x")
    assert caught.value.code == 4001
