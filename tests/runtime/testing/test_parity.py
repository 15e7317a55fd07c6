"""The in-process client behaves like a real server with a real client: each conversation runs on both.

The real ones are uvicorn, in a LiveServer, and the ``websockets`` package.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
import websockets

from falconws import WebSocketDisconnected
from falconws.testing import Client, HandshakeDenied, LiveServer

ACCEPT = {"type": "websocket.accept"}


@dataclass
class Outcome:
    """What both sides saw."""

    app: list[Any] = field(default_factory=list)
    client: list[Any] = field(default_factory=list)


class Talk:
    """One conversation: :meth:`app` is served, :meth:`client` talks to it through a small common interface."""

    subprotocols: tuple[str, ...] = ()

    def __init__(self):
        self.outcome = Outcome()

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "websocket"
        assert await receive() == {"type": "websocket.connect"}
        await self.app(scope, receive, send)

    def saw(self, event):
        # uvicorn leaves out the reason now and then; ASGI makes it optional.
        self.outcome.app.append({key: value for key, value in event.items() if value != ""})

    async def client(self, peer):
        """Talk; by default wait for the end."""


class Echo(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        for _ in range(2):
            event = await receive()
            self.saw(event)
            await send({**event, "type": "websocket.send"})
        self.saw(await receive())

    async def client(self, peer):
        await peer.send("één")
        await peer.send(b"\x00")
        self.outcome.client += [await peer.receive_text(), await peer.receive_data()]
        await peer.close(4001, "bye")


class Closing(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        self.saw(await receive())

    async def client(self, peer):
        await peer.close(1000, "")


class NoStatus(Closing):
    async def client(self, peer):
        await peer.close(None, "")


class Denied(Talk):
    async def app(self, scope, receive, send):
        await send({"type": "websocket.close", "code": 4000})
        self.saw(await receive())


class DeniedWithAResponse(Talk):
    async def app(self, scope, receive, send):
        headers = [(b"retry-after", b"3"), (b"content-type", b"text/plain")]
        await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"now"})
        self.saw(await receive())


class ClosedByTheApp(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "last"})
        await send({"type": "websocket.close", "code": 4003, "reason": "enough"})
        self.saw(await receive())

    async def client(self, peer):
        self.outcome.client.append(await peer.receive_text())


class ClosedWithoutACode(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        await send({"type": "websocket.close"})
        self.saw(await receive())


class Returned(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        self.outcome.app.append("returned")


class Negotiated(Talk):
    subprotocols = ("wamp", "mqtt")

    async def app(self, scope, receive, send):
        self.outcome.app.append(scope["subprotocols"])
        await send({**ACCEPT, "subprotocol": "mqtt", "headers": [(b"x-room", b"one")]})

    async def client(self, peer):
        self.outcome.client += [peer.subprotocol, peer.headers["x-room"]]


class UnreadAtTheEnd(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        for _ in range(3):
            self.saw(await receive())

    async def client(self, peer):
        await peer.send("a")
        await peer.send("b")
        await peer.close(1000, "")


class SentAfterTheEnd(Talk):
    async def app(self, scope, receive, send):
        await send(ACCEPT)
        self.saw(await receive())
        # uvicorn passes over a 'websocket.close' in silence until the TCP connection is gone as well.
        try:
            await send({"type": "websocket.send", "text": "x"})
        except OSError:
            self.outcome.app.append("OSError")

    async def client(self, peer):
        await peer.close(1000, "")


class Scope(Talk):
    async def app(self, scope, receive, send):
        self.outcome.app += [
            {key: type(value).__name__ for key, value in sorted(scope.items()) if key not in ("client", "server")},
            [scope[key] for key in ("path", "raw_path", "query_string", "root_path", "scheme", "http_version")],
            scope["extensions"],
            sorted(name for name, _ in scope["headers"] if name.startswith((b"upg", b"conn", b"host", b"x-"))),
            [(type(scope[key][0]), type(scope[key][1]), len(scope[key])) for key in ("client", "server")],
        ]
        await send(ACCEPT)


class InProcess:
    """The client of falconws.testing, in the common interface."""

    def __init__(self, ws):
        self.ws = ws
        self.subprotocol = ws.subprotocol
        self.headers = ws.headers
        self.receive_text = ws.receive_text
        self.receive_data = ws.receive_data
        self.close = ws.close

    async def send(self, message):
        await (self.ws.send_text if isinstance(message, str) else self.ws.send_data)(message)

    async def end(self):
        with pytest.raises(WebSocketDisconnected) as caught:
            await self.ws.receive_text()
        return caught.value.code, caught.value.reason


class Real:
    """The client of the ``websockets`` package, in the common interface."""

    def __init__(self, ws):
        self.ws = ws
        self.subprotocol = ws.subprotocol
        self.headers = ws.response.headers
        self.send = ws.send
        self.close = ws.close

    async def receive_text(self):
        return await asyncio.wait_for(self.ws.recv(decode=True), 20)

    async def receive_data(self):
        return await asyncio.wait_for(self.ws.recv(decode=False), 20)

    async def end(self):
        await asyncio.wait_for(self.ws.wait_closed(), 20)
        return self.ws.close_code, self.ws.close_reason


async def hold_in_process(talk):
    client = Client(talk, {"X-Test": "1"})
    try:
        async with client, client.websocket(PATH, query_string=QUERY, subprotocols=talk.subprotocols) as ws:
            await talk.client(InProcess(ws))
            talk.outcome.client.append(await InProcess(ws).end())
    except HandshakeDenied as denied:
        talk.outcome.client += [denied.status, denied.headers.get("retry-after"), denied.body]
    return talk.outcome


async def hold_for_real(talk):
    with LiveServer(talk) as server:
        try:
            async with websockets.connect(
                f"{server.ws_url}{PATH}?{QUERY}",
                subprotocols=talk.subprotocols or None,
                additional_headers={"X-Test": "1"},
            ) as ws:
                await talk.client(Real(ws))
                talk.outcome.client.append(await Real(ws).end())
        except websockets.InvalidStatus as denied:
            response = denied.response
            talk.outcome.client += [response.status_code, response.headers.get("retry-after"), response.body]
    return talk.outcome


PATH, QUERY = "/r%C3%B6om/a%20b", "q=%20&r"


@pytest.mark.parametrize("talk", Talk.__subclasses__() + Closing.__subclasses__(), ids=lambda talk: talk.__name__)
async def test_both_sides_see_the_same_in_process_and_for_real(talk):
    in_process, real = await hold_in_process(talk()), await hold_for_real(talk())
    assert in_process.app
    assert in_process.client
    assert in_process == real
