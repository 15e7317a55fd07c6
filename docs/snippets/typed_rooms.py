"""Typed messages of rooms: published from anywhere, and read from the history."""

import falconws
from typed_chat import Chat, Said


# start: hub
async def copy_to_room(hub: falconws.Hub, room: str, lines: list[tuple[str, str]]) -> None:
    await Chat.publish_many(hub, room, [Said(name=name, text=text) for name, text in lines])


async def last_texts(hub: falconws.Hub, room: str) -> list[str]:
    messages = await Chat.history(hub, room, limit=20)
    return [message.text for message in messages if isinstance(message, Said)]
    # end: hub


# start: script
def announce(hub_url: str, room: str, text: str) -> None:
    with falconws.Publisher(hub_url) as publisher:
        Chat.publish(publisher, room, Said(name="ops", text=text))
        # end: script
