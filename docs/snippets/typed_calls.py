"""Typed calls and replies."""

# start: calls
from typing import Annotated, ClassVar

import falconws
from falconws.testing import Client, check_conversations
from falconws.typed import Call, Conversation, Reply, speaks
from msgspec import Meta


class WordCount(Reply, tag="word_count"):
    words: int


class CountWords(Call[WordCount], tag="count_words"):
    """Count the words of a text."""

    text: Annotated[str, Meta(max_length=2000, examples=["two words"])]


class Words(Conversation[CountWords, WordCount]):
    """Work on texts."""

    errors: ClassVar = {"empty": "The text has no words."}


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        await words.accept()
        async for call in words:
            count = len(call.text.split())
            if count:
                await words.reply(call, WordCount(words=count))
            else:
                await words.reject(call, "empty")
                # end: calls


def create_app() -> falconws.App:
    app = falconws.App()
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/words", WordsResource())
    return app


# start: test
async def test_words_are_counted() -> None:
    async with Client(create_app()) as client, client.converse(Words, "/words") as words:
        assert (await words.call(CountWords(text="two words"))).words == 2


def test_the_contract_holds() -> None:
    check_conversations(create_app())
    # end: test
