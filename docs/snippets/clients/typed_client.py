"""A client of the typed conversations of docs/snippets/typed_chat.py."""

from falconws.client import CallError, connect
from typed_chat import Chat, CountWords, Said, Say, Who, Words


# start: chat
async def chat(url: str) -> Said:
    async with connect(Chat, f"{url}/rooms/lobby", query=Who("ada")) as room:
        await room.send(Say("hello"))
        async for message in room:
            if isinstance(message, Said):
                return message
    raise ConnectionError("The server has closed the connection.")
    # end: chat


# start: call
async def count(url: str, text: str) -> int | str:
    async with connect(Words, f"{url}/words") as words:
        try:
            return (await words.call(CountWords(text=text))).words
        except CallError as error:
            return error.code
            # end: call
