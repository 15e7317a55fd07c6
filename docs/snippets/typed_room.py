"""A typed room: messages, conversation, responder, client and test."""

# start: messages
from typing import Annotated

import falconws
from falconws.client import connect
from falconws.typed import Conversation, Gap, Joined, Left, RoomMessage, Welcome, speaks
from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]


class Say(Struct, tag="say"):
    """Say something in the room."""

    text: Text


class Said(RoomMessage, tag="said"):
    """Somebody has said something."""

    name: Name
    text: Text


class Who(Struct):
    name: Name


class Chat(Conversation[Say, Welcome | Said | Joined | Left | Gap]):
    """People in a room hear each other, and miss nothing when their connection breaks."""

    query = Who
    # end: messages


# start: responder
class ChatResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        name = chat.read_query(Who).name
        subscription = chat.subscribe(self._hub, room, member=name)
        await chat.accept()
        async with subscription:
            await chat.send(Welcome(str(subscription.position), sorted(await self._hub.present(room))))
            async for message in chat:
                await Chat.publish(self._hub, room, Said(name=name, text=message.text))
                # end: responder


def create_app() -> falconws.App:
    hub = falconws.Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/rooms/{room}/chat", ChatResource(hub))
    return app


# start: client
async def listen(url: str, heard: list[str]) -> None:
    async with connect(Chat, f"{url}/rooms/lobby/chat", query=Who("ada")) as chat:
        await chat.send(Say("hello"))
        async for message in chat:
            match message:
                case Said(name=name, text=text):
                    heard.append(f"{name}: {text}")
                case Gap():
                    heard.clear()  # Messages are missing: load the page again.
                    # end: client
            if heard:
                break
