"""Calls: several at a time, with a limit, two kinds of reply, and errors."""

import asyncio
from typing import Annotated, ClassVar

import falconws
from falconws.typed import Call, Conversation, Reply, speaks
from msgspec import Meta


# start: messages
class Translation(Reply, tag="translation"):
    text: str


class Unknown(Reply, tag="unknown"):
    """There is no translation."""

    similar: list[str]


class Translate(Call[Translation | Unknown], tag="translate"):
    """Translate a word."""

    word: Annotated[str, Meta(min_length=1, max_length=100, examples=["cat"])]


class Dictionary(Conversation[Translate, Translation | Unknown]):
    """Translates words to German."""

    errors: ClassVar = {"unavailable": "The dictionary does not answer. Try again later."}
    # end: messages


WORDS = {"cat": "Katze", "dog": "Hund"}


class DictionaryUnavailable(Exception):
    """The service that knows the words does not answer."""


# start: responder
CONCURRENT_CALLS = 8


class DictionaryResource:
    @speaks(Dictionary)
    async def on_websocket(self, req: falconws.Request, dictionary: Dictionary) -> None:
        await dictionary.accept()
        slots = asyncio.Semaphore(CONCURRENT_CALLS)
        async with asyncio.TaskGroup() as group:
            async for call in dictionary:
                # The client waits while all slots are taken.
                await slots.acquire()
                group.create_task(self._answer(dictionary, call, slots))

    async def _answer(self, dictionary: Dictionary, call: Translate, slots: asyncio.Semaphore) -> None:
        try:
            text = await look_up(call.word)
        except DictionaryUnavailable:
            await dictionary.reject(call, "unavailable")
        else:
            reply = Unknown(similar=sorted(WORDS)) if text is None else Translation(text=text)
            await dictionary.reply(call, reply)
        finally:
            slots.release()
            # end: responder


async def look_up(word: str) -> str | None:
    """Return the translation of *word*, or None; some words take longer than others."""
    if word == "?":
        raise DictionaryUnavailable
    if word == "dog":
        await asyncio.sleep(0.05)
    return WORDS.get(word)


app = falconws.App()
app.add_route("/dictionary", DictionaryResource())
