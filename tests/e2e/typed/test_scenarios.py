"""What the Python and the TypeScript client have to do alike; scenarios.test.ts plays the same file in TypeScript."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from falconws.client import CallError, Client, Close, connect
from tests.runtime.typed.conversations import Chat, Reverse, Who, Words

SCENARIOS = json.loads(Path(__file__).with_name("scenarios.json").read_text())
WAIT_S = 30.0


class Scripted:
    """A server that does what a scenario says."""

    def __init__(self) -> None:
        self.refuse: int | None = None
        self.queries: list[str] = []
        self.accepted: asyncio.Queue[ServerConnection] = asyncio.Queue()

    def start(self) -> Any:
        return serve(self._handle, "127.0.0.1", 0, process_request=self._decide)

    async def _handle(self, peer: ServerConnection) -> None:
        self.accepted.put_nowait(peer)
        await peer.wait_closed()

    def _decide(self, peer: ServerConnection, request: Request) -> Response | None:
        self.queries.append(request.path.partition("?")[2])
        return None if self.refuse is None else peer.respond(HTTPStatus(self.refuse), "")


class Play:
    """One scenario: its client, and what was seen of it."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.scenario = scenario
        self.server = Scripted()
        self.verdicts: list[bool | None] = list(scenario.get("verdicts", ()))
        self.found: dict[str, list[Any]] = {"statuses": [], "ends": [], "heard": [], "calls": []}
        self.calls: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        async with self.server.start() as server, asyncio.timeout(WAIT_S):
            client = self._client(server)
            entering = asyncio.ensure_future(client.__aenter__())
            hearing = asyncio.create_task(self._hear(client))
            try:
                await self._play(client)
                await self._compare(client)
            finally:
                for task in (entering, hearing, *self.calls):
                    task.cancel()
                await asyncio.gather(entering, hearing, *self.calls, return_exceptions=True)
                await client.close()

    def _client(self, server: Server) -> Client[Any, Any]:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        options: dict[str, Any] = {"first_delay_s": 0.001, "max_delay_s": 0.005, "reconnect": self._reconnect}
        options["on_status"] = self.found["statuses"].append
        if self.scenario["client"] == "words":
            return connect(Words, url, **options)
        return connect(Chat, url, query=Who("ada"), **options)

    def _reconnect(self, close: Close, opened: bool) -> bool | None:
        self.found["ends"].append([close.code, close.reason if opened else None, opened])
        return self.verdicts.pop(0) if self.verdicts else None

    async def _hear(self, client: Client[Any, Any]) -> None:
        async for message in client:
            self.found["heard"].append(getattr(message, "text", None))

    async def _call(self, client: Client[Any, Any], text: str) -> None:
        try:
            reply = await client.call(Reverse(text=text), timeout_s=WAIT_S)
        except CallError as error:
            path = f" {error.answer.path}" if error.answer is not None and error.answer.path else ""
            self.found["calls"].append(error.code + path)
        except asyncio.CancelledError:
            self.found["calls"].append("given up")
        else:
            self.found["calls"].append(type(reply).__struct_config__.tag)

    async def _play(self, client: Client[Any, Any]) -> None:
        call_id: object = None
        for step, *arguments in self.scenario["steps"]:
            match step, arguments:
                case "accept", _:
                    peer = await self.server.accepted.get()
                case "close", [code, reason]:
                    await peer.close(code, reason)
                case "cut", _:
                    peer.transport.abort()
                case "refuse", [status]:
                    self.server.refuse = status
                case "send", [message]:
                    text = message if isinstance(message, str) else json.dumps(message)
                    await peer.send(text.replace('"$id"', str(call_id)))
                case "receive", _:
                    call_id = json.loads(await peer.recv())["id"]
                case "heard", [count]:
                    await self._until("heard", count)
                case "asked", [count]:
                    await self._until("ends", count)
                case "closed", _:
                    while client.status != "closed":
                        await asyncio.sleep(0.001)
                case "give up", _:
                    self.calls[-1].cancel()
                case "call", [text]:
                    self.calls.append(asyncio.create_task(self._call(client, text)))
                case _:
                    raise AssertionError(step)

    async def _until(self, name: str, count: int) -> None:
        while len(self.found[name]) < count:
            await asyncio.sleep(0.001)

    async def _compare(self, client: Client[Any, Any]) -> None:
        expected = self.scenario
        for name in self.found.keys() & expected.keys():
            await self._until(name, len(expected[name]))
            assert self.found[name] == expected[name], name
        if "lastCode" in expected:
            while (client.last_close and client.last_close.code) != expected["lastCode"]:
                await asyncio.sleep(0.001)
        if "position" in expected:
            assert client.position == expected["position"]
        if "queries" in expected:
            assert self.server.queries == expected["queries"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each["name"] for each in SCENARIOS])
async def test_the_client_does_what_both_do(scenario: dict[str, Any]) -> None:
    await Play(scenario).run()
