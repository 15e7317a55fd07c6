"""Typed messages in rooms: who receives them, and how often they are decoded and encoded."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

import falconws
from falconws.testing import Client
from falconws.typed import Conversation, speaks
from tests.runtime.typed.conversations import Said, Say

SUBSCRIBERS = 500


class Room(Conversation[Say, Said]):
    """A client is sent what others say."""


class RoomResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    @speaks(Room)
    async def on_websocket(self, req: falconws.Request, room: Room) -> None:
        subscription = room.subscribe(self._hub, "lobby")
        await room.accept()
        async with subscription:
            async for message in room:
                said = Said(name="someone", text=message.text)
                if message.text == "typing":
                    await Room.publish_ephemeral(self._hub, "lobby", said, exclude=subscription)
                else:
                    await Room.publish(self._hub, "lobby", said, exclude=subscription)
                await Room.publish(self._hub, "lobby", Said(name="all", text="done"))


def make_client(hub: falconws.Hub) -> Client:
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", RoomResource(hub))
    return Client(app)


@pytest.mark.parametrize("text", ["hello", "typing"])
async def test_the_excluded_subscription_does_not_receive_the_message(text: str) -> None:
    async with (
        make_client(falconws.Hub()) as client,
        client.converse(Room) as other,
        client.converse(Room) as sender,
    ):
        await sender.send(Say(text))
        assert [(await other.receive(Said)).text for _ in range(2)] == [text, "done"]
        assert (await sender.receive(Said)).text == "done"


async def test_an_event_is_decoded_and_encoded_once_for_all_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"decode": 0, "encode": 0}

    def counted(name: str) -> Any:
        function = getattr(Room.sent, name)

        def call(argument: Any) -> Any:
            counts[name] += 1
            return function(argument)

        return call

    hub = falconws.Hub()
    async with make_client(hub) as client, AsyncExitStack() as stack:
        members = [await stack.enter_async_context(client.websocket("/")) for _ in range(SUBSCRIBERS)]
        with monkeypatch.context() as patched:
            for name in counts:
                patched.setattr(Room.sent, name, counted(name))
            await Room.publish(hub, "lobby", Said(name="ops", text="hello"))
            received = {await member.receive_text() for member in members}
        assert len(received) == 1
        # Encoding once more is publishing.
        assert counts == {"decode": 1, "encode": 2}


async def test_several_messages_are_published_in_order_with_their_keys() -> None:
    hub = falconws.Hub()
    async with make_client(hub) as client, client.converse(Room) as member:
        said = [Said(name=name, text=name) for name in ("a", "b", "c")]
        positions = await Room.publish_many(hub, "lobby", said, key=lambda message: message.name)
        received = [await member.receive(Said) for _ in said]
        assert [(each.text, each.position) for each in received] == [
            (each.text, str(position)) for each, position in zip(said, positions, strict=True)
        ]
        with pytest.raises(TypeError, match="Say is not a message of this direction"):
            Room.publish_many(hub, "lobby", [said[0], Say("x")])  # type: ignore[list-item]
        assert await Room.history(hub, "lobby", limit=2) == received[1:]


async def test_what_an_older_contract_has_left_is_logged_once_for_each_room_and_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Today(Conversation[Say, Said]):
        """Newer than what the rooms keep."""

    hub = falconws.Hub()
    async with hub:
        for room in ("lobby", "attic"):
            for old in ('{"type": "shouted"}', '{"type": "said"}', "no JSON"):
                await hub.publish(room, old)
        for _ in range(3):
            assert [await Today.history(hub, room) for room in ("lobby", "attic")] == [[], []]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 6
    assert [line for line in lines if "no such message" in line and "'lobby'" in line] == [
        "Room 'lobby': a message is not one of Today, and is not sent: '$.type: This conversation has no such message'"
        " (logged once for this room and type)"
    ]
