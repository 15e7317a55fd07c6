"""The HTTP entrance without a network: bytes in by hand, in any pieces, and what the server writes.

Also what h11 reads from the same bytes, for comparison.
"""

import asyncio
from types import SimpleNamespace
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from falconws.server.http.guard import GuardedHttp
from falconws.server.http_settings import HttpSettings
from falconws.server.websocket.settings import ConnectionSettings

BASES = {"httptools": HttpToolsProtocol, "h11": H11Protocol}
SETTINGS = HttpSettings(max_body_bytes=1000, max_head_bytes=500)


class _Transport:
    """What a transport promises, with a list for the network."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.protocol: Any = None
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class _WebSocketEngine(asyncio.Protocol):
    """Takes the place of the engine: notes what it is given."""

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
        self.served = config.served

    def begin(self, request: Any, rest: bytes) -> None:
        self.served.append(("WEBSOCKET", request.raw_path + b"?" + request.query_string, rest))

    def data_received(self, data: bytes) -> None:
        _, target, rest = self.served[-1]
        self.served[-1] = ("WEBSOCKET", target, rest + data)


async def enter(parser: str, pieces: list[bytes]) -> tuple[list[tuple[str, bytes, bytes]], bytes]:
    """Return the requests that were served (method, target, body), and the bytes that were written."""
    served: list[tuple[str, bytes, bytes]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event["body"]
            if not event["more_body"]:
                break
        served.append((scope["method"], scope["raw_path"] + b"?" + scope["query_string"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    config = SimpleNamespace(
        **{"loaded": True, "loaded_app": app, "served": served, "ws_protocol_class": _WebSocketEngine},
        **{"root_path": "", "asgi_version": "3.0", "limit_concurrency": None, "timeout_keep_alive": 5},
        **{"h11_max_incomplete_event_size": None, "reset_contextvars": False, "engine_is_fast": True, "drain_s": 1},
        **{"http_settings": SETTINGS, "connection_settings": ConnectionSettings(), "going_away": False},
        set_client=lambda scope: None,
    )
    state = SimpleNamespace(connections=set(), tasks=set(), default_headers=[], total_requests=0)
    protocol = type("Protocol", (GuardedHttp, BASES[parser]), {})(config, state, {})
    transport = _Transport()
    transport.protocol = protocol
    protocol.connection_made(transport)
    for piece in pieces:
        if not transport.closed:
            transport.protocol.data_received(piece)
        while state.tasks:
            # One after the other: a request begins when the one in front of it is answered.
            await asyncio.wait(state.tasks, timeout=0)
            if not any(task.done() for task in state.tasks) and not protocol.flow.held:
                break
    for _ in range(5):
        await asyncio.sleep(0)
    if transport.protocol is protocol:
        protocol.connection_lost(None)
    else:
        transport.protocol.connection_lost(None)
    protocol._stop_deadline()
    for task in list(state.tasks):
        task.cancel()
    return served, bytes(transport.written)


def read_by_h11(stream: bytes) -> list[tuple[str, bytes, bytes]]:
    """Return the complete requests at the beginning of *stream* as h11 reads them, up to an upgrade or an error."""
    requests = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(stream.lstrip(b"\r\n"))
    while True:
        try:
            event = connection.next_event()
            if not isinstance(event, h11.Request):
                return requests
            body = b""
            while not isinstance(part := connection.next_event(), h11.EndOfMessage):
                if not isinstance(part, h11.Data):
                    return requests
                body += part.data
        except h11.RemoteProtocolError:
            return requests
        path, _, query = event.target.partition(b"?")
        requests.append((event.method.decode(), path + b"?" + query, body))
        connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            return requests
        connection.start_next_cycle()
        rest = connection.trailing_data[0]
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(rest.lstrip(b"\r\n"))


def check(stream: bytes, step: int) -> None:
    """Assert that *stream*, in pieces of *step* bytes, is served as if whole, on both parsers, and as h11 reads it."""

    async def all_ways() -> list[tuple[Any, bytes]]:
        pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
        return [await enter(parser, cut) for parser in BASES for cut in ([stream], pieces)]

    results = asyncio.run(all_ways())
    expected = read_by_h11(stream)
    for served, written in results:
        plain = [request for request in served if request[0] != "WEBSOCKET"]
        # What is served is what h11 reads; requests that h11 accepts may be refused.
        assert plain == expected[: len(plain)], (plain, expected)
        assert len(plain) + 1 >= len(served)
        statuses = [line for line in written.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert [status[9:12] for status in statuses[: len(plain)]] == [b"200"] * len(plain)
        assert len(statuses) <= len(plain) + 1
    assert all(served == results[0][0] for served, _ in results), results
