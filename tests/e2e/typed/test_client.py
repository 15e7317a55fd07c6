"""The Python client against a served application: calls, resume, restarts, refusals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import falcon
import pytest

import falconws
from falconws.client import CallError, Client, Close, HandshakeDenied, Status, connect
from falconws.testing import LiveServer
from falconws.typed import Gap, Welcome
from tests.e2e.server.server_process import ServerProcess
from tests.ports import free_port
from tests.runtime.typed.conversations import (
    Chat,
    CountWords,
    Price,
    PriceFeed,
    Reverse,
    Reversed,
    Said,
    Say,
    Who,
    WordCount,
    Words,
    make_app,
)

M = TypeVar("M")
WAIT_S = 30.0

SOURCE = """
import falconws
from tests.runtime.typed.conversations import make_app
app = make_app(falconws.Hub())
"""


class Cut:
    """A TCP proxy whose connections a test can cut off, as a network does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cut]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, there_writer}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pipe(reader, there_writer))
            group.create_task(self._pipe(there_reader, writer))

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def served() -> Callable[[], LiveServer]:
    return lambda: LiveServer(make_app(falconws.Hub()))


async def hear(chat: Client[Any, Any], kind: type[M]) -> M:
    """Return the next message of *kind*."""
    async with asyncio.timeout(WAIT_S):
        async for message in chat:
            if isinstance(message, kind):
                return message
    raise AssertionError(f"closed before {kind.__name__}")


async def test_calls_are_answered_in_any_order(served: Callable[[], LiveServer]) -> None:
    with served() as server:
        async with connect(Words, f"{server.ws_url}/words") as words:
            counts = await asyncio.gather(*(words.call(CountWords(text="a " * n)) for n in range(10)))
            assert counts == [WordCount(words=n, id=counts[n].id) for n in range(10)]
            with pytest.raises(CallError) as rude:
                await words.call(Reverse(text="darn"))
            assert rude.value.code == "too_rude"
            with pytest.raises(CallError) as invalid:
                await words.call(CountWords(text="x" * 21))
            assert invalid.value.code == "invalid_message"
            assert words.status == "open"


async def test_a_feed_is_iterated_over_its_subprotocol(served: Callable[[], LiveServer]) -> None:
    with served() as server:
        async with connect(PriceFeed, f"{server.ws_url}/prices") as prices:
            async for price in prices:
                assert price == Price("ACME", 1.5, 1.75)
                break


async def test_a_refused_handshake_is_final_and_says_why(served: Callable[[], LiveServer]) -> None:
    with served() as server:
        with pytest.raises(HandshakeDenied, match=r"400.*name") as denied:
            async with connect(Chat, f"{server.ws_url}/rooms/lobby/chat"):
                pass
        assert denied.value.status == 400


async def test_messages_published_while_the_line_was_cut_are_heard_once(served: Callable[[], LiveServer]) -> None:
    statuses: list[Status] = []
    with served() as server:
        async with (
            Cut(server.port).running() as line,
            connect(Chat, f"{server.ws_url}/rooms/lobby/chat", query=Who("ada")) as ada,
            connect(
                Chat,
                f"ws://127.0.0.1:{line.port}/rooms/lobby/chat",
                query=lambda: Who("bob"),
                first_delay_s=0.01,
                on_status=statuses.append,
            ) as bob,
        ):
            await hear(bob, Welcome)
            await ada.send(Say("before"))
            assert await hear(bob, Said) == Said(name="ada", text="before", position=bob.position)
            line.cut()
            await ada.send(Say("meanwhile"))
            await hear(bob, Welcome)
            await ada.send(Say("after"))
            heard = [await hear(bob, Said) for _ in range(2)]
            assert [each.text for each in heard] == ["meanwhile", "after"]
        assert statuses[:4] == ["open", "waiting", "connecting", "open"]
        assert statuses[-1] == "closed"


async def test_a_restarted_server_tells_the_gap(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SOURCE)
    port = free_port()
    options = {"port": port, "drain_s": 0.2}
    root = str(Path(__file__).parents[3])
    prelude = f"import sys; sys.path.insert(0, {root!r})\n"
    first = ServerProcess(tmp_path, "served:app", options, prelude)
    first.wait_until_ready()
    second = None
    try:
        url = f"ws://127.0.0.1:{port}/rooms/lobby/chat"
        async with connect(Chat, url, query=Who("ada"), first_delay_s=0.05, max_delay_s=0.2) as ada:
            await ada.send(Say("one"))
            await hear(ada, Said)
            first.signal(signal.SIGTERM)
            await asyncio.to_thread(first.wait)
            assert not await ada.send(Say("lost"))
            second = ServerProcess(tmp_path, "served:app", options, prelude)
            await hear(ada, Gap)
            await ada.send(Say("two"))
            assert (await hear(ada, Said)).text == "two"
    finally:
        for server in (first, second):
            if server is not None:
                server.stop()


async def test_a_declared_close_code_is_final(served: Callable[[], LiveServer]) -> None:
    with served() as server:
        async with connect(Chat, f"{server.ws_url}/rooms/lobby/chat", query=Who("ada")) as ada:
            await ada.send(Say("close"))
            assert [message async for message in ada][-1:] != [None]
            assert (ada.status, ada.last_close) == ("closed", Close(4001, Chat.close_codes[4001]))
            assert not await ada.send(Say("too late"))


class Silent:
    """Speaks words, and answers with what a test gives."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.received: list[str] = []

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws:
            # Read first: a test that sees the message may change the answers to the next one.
            answers = self.answers
            self.received.append(text)
            for answer in answers:
                await ws.send_text(answer)

    def served(self) -> LiveServer:
        app = falconws.App()
        app.add_route("/", self)
        return LiveServer(app)


async def test_a_call_that_was_sent_fails_with_its_connection_and_the_next_waits_for_one() -> None:
    silent = Silent()
    with silent.served() as server:
        async with (
            Cut(server.port).running() as line,
            connect(Words, f"ws://127.0.0.1:{line.port}/", first_delay_s=0.01) as words,
        ):
            sent = asyncio.create_task(words.call(CountWords(text="x"), timeout_s=WAIT_S))
            while not silent.received:
                await asyncio.sleep(0.001)
            line.cut()
            with pytest.raises(CallError) as lost:
                await sent
            assert lost.value.code == "disconnected"
            assert words.status != "open"
            silent.answers = ('{"type": "word_count", "words": 1, "id": 2}',)
            assert await words.call(CountWords(text="y"), timeout_s=WAIT_S) == WordCount(words=1, id=2)
        with pytest.raises(CallError, match="closed"):
            await words.call(CountWords(text="z"))


async def test_a_server_that_never_answers_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(falconws.client, "_MAX_ABANDONED", 3)
    silent = Silent()
    with silent.served() as server:
        async with connect(Words, server.ws_url) as words:
            for number in range(9):
                given_up = asyncio.create_task(words.call(CountWords(text="x"), timeout_s=WAIT_S))
                while len(silent.received) <= number:
                    await asyncio.sleep(0.001)
                given_up.cancel()
                await asyncio.wait([given_up])
            assert list(words._pending) == [7, 8, 9]
            # The late replies are for nobody else.
            silent.answers = tuple(f'{{"type": "word_count", "words": 1, "id": {number}}}' for number in (7, 8, 9, 10))
            assert await words.call(CountWords(text="y"), timeout_s=WAIT_S) == WordCount(words=1, id=10)
            assert not words._pending
            assert words._unread.empty()


async def test_only_a_reply_answers_a_call() -> None:
    answers = ('{"type": "reversed", "text": "another", "id": 1}', '{"type": "word_count", "words": 1, "id": 1}')
    with Silent(*answers).served() as server:
        async with connect(Words, server.ws_url) as words:
            assert await words.call(CountWords(text="x"), timeout_s=WAIT_S) == WordCount(words=1, id=1)
            assert await anext(words) == Reversed(text="another", id=1)


async def test_the_delay_grows_while_the_server_drops_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dropping:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await ws.accept()
            await ws.close(1013)

    bounds: list[float] = []

    def uniform(low: float, high: float) -> float:
        bounds.append(high)
        return 0.0

    monkeypatch.setattr("falconws.client.random.uniform", uniform)
    app = falconws.App()
    app.add_route("/", Dropping())
    with LiveServer(app) as server:
        async with connect(Words, server.ws_url, first_delay_s=1, max_delay_s=8):
            async with asyncio.timeout(WAIT_S):
                while len(bounds) < 5:
                    await asyncio.sleep(0.001)
    assert bounds[:5] == [1, 2, 4, 8, 8]


async def test_unknown_messages_of_a_newer_server_are_skipped() -> None:
    class Resource:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await ws.accept(ws.subprotocols[0])
            await ws.send_text('{"type": "news", "text": "?"}')
            await ws.send_text('{"type": "price", "symbol": "A", "bid": 1, "ask": 2, "volume": 3}')
            await ws.wait_disconnected()

    app = falconws.App()
    app.add_route("/", Resource())
    with LiveServer(app) as server:
        async with connect(PriceFeed, server.ws_url) as prices:
            assert await anext(prices) == Price("A", 1, 2)


class Guarded:
    """Accepts those who know the token of today, and drops each connection when the test says so."""

    def __init__(self) -> None:
        self.token = "one"
        self.accepted: asyncio.Queue[falconws.WebSocket] = asyncio.Queue()

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        if req.get_param("token") != self.token:
            raise falcon.HTTPUnauthorized(description="The token has expired.")
        await ws.accept()
        self.accepted.put_nowait(ws)
        await ws.wait_disconnected()

    def served(self) -> LiveServer:
        app = falconws.App()
        app.add_route("/", self)
        return LiveServer(app)


async def test_the_iteration_says_why_the_server_does_not_let_the_client_back() -> None:
    guarded = Guarded()
    with guarded.served() as server:
        async with Cut(server.port).running() as line, asyncio.timeout(WAIT_S):
            url = f"ws://127.0.0.1:{line.port}/"
            async with connect(Words, url, query={"token": "one"}, first_delay_s=0.01) as words:
                guarded.token = "two"
                line.cut()
                for _ in range(2):
                    with pytest.raises(HandshakeDenied, match=r"401.*expired"):
                        await anext(words)
                assert words.status == "closed"
                assert words.last_close is not None
                assert (words.last_close.code, words.last_close.status) == (1006, 401)
                with pytest.raises(CallError, match="closed"):
                    await words.call(CountWords(text="x"))


async def test_a_new_token_is_tried_where_the_application_says_so(caplog: pytest.LogCaptureFixture) -> None:
    guarded = Guarded()
    tokens = iter(["one", "one", "", "two"])
    asked: list[tuple[int | None, bool]] = []

    def query() -> dict[str, str]:
        token = next(tokens)
        if not token:
            raise RuntimeError("no token service")
        return {"token": token}

    async def reconnect(close: Close, opened: bool) -> bool | None:
        asked.append((close.status, opened))
        return True if close.status == 401 else None

    with guarded.served() as server:
        async with Cut(server.port).running() as line, asyncio.timeout(WAIT_S):
            url = f"ws://127.0.0.1:{line.port}/"
            async with connect(Words, url, query=query, reconnect=reconnect, first_delay_s=0.01) as words:
                await guarded.accepted.get()
                guarded.token = "two"
                line.cut()
                await guarded.accepted.get()
                while words.status != "open":
                    await asyncio.sleep(0.001)
    assert asked == [(None, True), (401, False), (None, False)]
    assert [record.getMessage() for record in caplog.records if "no token service" in record.getMessage()]


@pytest.mark.parametrize("refused", [True, False])
async def test_a_client_that_cannot_connect_says_why(refused: bool) -> None:
    with Guarded().served() as server:
        url = server.ws_url if refused else f"ws://127.0.0.1:{free_port()}/"
        with pytest.raises(ConnectionError, match="401" if refused else "Cannot connect"):
            async with connect(Words, url, reconnect=lambda close, opened: False):
                raise AssertionError("it is connected")


async def test_an_error_of_a_function_for_the_first_handshake_is_raised() -> None:
    def headers() -> dict[str, str]:
        raise LookupError("no token")

    with pytest.raises(LookupError, match="no token"):
        async with connect(Words, "ws://127.0.0.1:1/", headers=headers):
            raise AssertionError("it is connected")
