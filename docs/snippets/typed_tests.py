"""Tests of a typed conversation."""

from falconws.testing import Client, check_conversations
from falconws.typed import Welcome
from typed_chat import Chat, CountWords, Said, Say, Who, Words, app


# start: test
async def test_what_is_said_is_heard() -> None:
    async with Client(app) as client, client.converse(Chat, "/rooms/lobby", query=Who("ada")) as ada:
        await ada.receive(Welcome)
        await ada.send(Say("hello"))
        assert (await ada.receive_until(Said)).text == "hello"


async def test_words_are_counted() -> None:
    async with Client(app) as client, client.converse(Words, "/words") as words:
        assert (await words.call(CountWords(text="two words"))).words == 2


def test_the_contract_holds() -> None:
    check_conversations(app)
    # end: test
