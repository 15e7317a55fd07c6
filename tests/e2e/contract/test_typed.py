"""Typed conversations: decoded messages, errors as answers, refused handshakes, rooms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from .client import Peer

WORDS = [Subprotocol("words")]


async def ask(peer: Peer, connection: ClientConnection, message: str | bytes) -> Any:
    await connection.send(message)
    return json.loads(await peer.receive(connection))


@pytest.mark.promise("typed-calls")
async def test_a_call_is_answered_under_its_id(peer: Peer) -> None:
    connection = await peer.connect("words", subprotocols=WORDS)
    for number in range(50):
        reply = await ask(peer, connection, json.dumps({"type": "count_words", "text": "two words", "id": number}))
        assert reply == {"type": "word_count", "words": 2, "id": number}


@pytest.mark.promise("typed-errors")
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not JSON", "not_a_message"),
        (b'{"type": "count_words", "text": ""}', "not_a_message"),
        ('{"type": "reverse"}', "unknown_type"),
        ('{"type": "count_words", "text": "longer than 20 characters"}', "invalid_message"),
    ],
)
async def test_an_invalid_message_is_answered_and_the_next_one_is_taken(
    peer: Peer, message: str | bytes, code: str
) -> None:
    connection = await peer.connect("words", subprotocols=WORDS)
    error = await ask(peer, connection, message)
    assert (error["type"], error["code"]) == ("error", code)
    assert await ask(peer, connection, '{"type": "count_words", "text": "a"}') == {"type": "word_count", "words": 1}


@pytest.mark.promise("typed-too-many-errors")
async def test_a_client_that_sends_only_invalid_messages_is_disconnected(peer: Peer) -> None:
    connection = await peer.connect("words", subprotocols=WORDS)
    for _ in range(3):
        assert (await ask(peer, connection, "{}"))["type"] == "error"
    await connection.send("{}")
    code, _ = await peer.closed(connection)
    assert code == 1007


@pytest.mark.promise("typed-refusal")
@pytest.mark.parametrize("query", ["name=", "name=ada"])
async def test_a_handshake_that_does_not_fit_is_refused(peer: Peer, query: str) -> None:
    offered = WORDS if query == "name=" else [Subprotocol("numbers")]
    response = await peer.refused("words", query, subprotocols=offered)
    assert response.status_code == 400
    assert ("name" if query == "name=" else "words") in response.body.decode()


@pytest.mark.promise("typed-rooms")
async def test_a_room_is_resumed_at_a_position(peer: Peer) -> None:
    one = await peer.connect("typed-room")
    position = json.loads(await peer.receive(one))["position"]
    for text in ("a", "b"):
        said = await ask(peer, one, json.dumps({"type": "say", "text": text}))
        assert (said["type"], said["text"]) == ("said", text)
    other = await peer.connect("typed-room", f"since={position}")
    heard = [json.loads(await peer.receive(other)) for _ in range(3)]
    assert [(each["type"], each.get("text")) for each in heard] == [("welcome", None), ("said", "a"), ("said", "b")]
