"""A client on the generated package."""

# start: client
from chat_client import Chat, ChatQuery, CountWords, Said, Say, Words, chat_url, words_url
from falconws.client import connect


async def say(base_url: str, text: str) -> Said | None:
    async with connect(Chat, chat_url(base_url, room="lobby"), query=ChatQuery("ada")) as chat:
        await chat.send(Say(text))
        async for message in chat:
            if isinstance(message, Said):
                return message
    return None


async def count(base_url: str, text: str) -> int:
    async with connect(Words, words_url(base_url)) as words:
        return (await words.call(CountWords(text=text))).words
        # end: client
