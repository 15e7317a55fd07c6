"""The hub's promises on real servers and real sockets, in one process; several are in the folder ``hub``."""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import falconws
from falconws import Hub, Policy
from falconws.testing import LiveServer
from tests.memory import resident_bytes

WAIT_S = 20.0

ENGINES = {"falconws": "falconws.server:WebSocketProtocol", "sansio": "websockets-sansio", "wsproto": "wsproto"}

POLICIES = {
    "drop_oldest": Policy.drop_oldest(max_messages=8),
    "drop_newest": Policy.drop_newest(max_messages=8),
    "conflate": Policy.conflate(max_messages=8),
    "disconnect": Policy.disconnect(max_bytes=128 * 1024),
    "default": Policy.disconnect(),
    "impatient": Policy.disconnect(max_lag_s=0.3),
}


class Feed:
    """Sends what is published, says what it has dropped, and publishes what its clients say."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def on_websocket(self, req: Any, ws: Any, policy: str) -> None:
        await ws.accept()
        async with self.hub.subscribe(ws, "room", policy=POLICIES[policy]):
            async for text in ws.iter_text():
                await self.hub.publish("room", text)

    async def on_put(self, req: Any, resp: Any, policy: str) -> None:
        """Publish messages of the given sizes at once."""
        sizes = await req.get_media()
        await asyncio.gather(*(self.hub.publish("room", "x" * size) for size in sizes))

    async def on_post(self, req: Any, resp: Any, policy: str) -> None:
        """Publish numbers, each in a message of 16 kB; every third message is about the same thing."""
        first, count = await req.get_media()
        for number in range(first, first + count):
            await self.hub.publish("room", f"{number}".ljust(16384), key=str(number % 3))
        # What is too much is dropped in the next iteration of the event loop.
        await asyncio.sleep(0.01)
        resp.media = {"dropped": self.hub.stats.dropped, "disconnected": self.hub.stats.disconnected}


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request: pytest.FixtureRequest) -> str:
    ws: str = request.param
    return ws


class Held:
    """Takes its time before it speaks, while others publish."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def on_websocket(self, req: Any, ws: Any, how: str) -> None:
        since = await self.hub.publish("held", "0")
        await self.hub.publish("held", "missed")
        await ws.accept()
        async with (
            self.hub.subscribe(ws, "held", since=since) as subscription,
            self.hub.subscribe(ws, "other", member="ada", encode=str),
        ):
            await self.hub.publish("held", "live")
            await asyncio.sleep(0.05)
            if how == "send":
                await ws.send_text("welcome")
            elif how == "send-media":
                await ws.send_media("welcome")
            elif how == "start":
                await subscription.start()
                await asyncio.sleep(0.3)
            if how == "wait":
                await ws.wait_disconnected()
            elif how == "receive":
                await ws.receive_text()
            elif how == "iterate":
                async for _ in ws:
                    pass
            else:
                async for text in ws.iter_text():
                    await ws.send_text(text)


@pytest.fixture
def hub_server(engine: str) -> Iterator[LiveServer]:
    hub = Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/{policy}", Feed(hub))
    app.add_route("/held/{how}", Held(hub))
    with LiveServer(app, ws=engine, ws_per_message_deflate=False) as server:
        yield server


@contextlib.contextmanager
def slow(server: LiveServer, policy: str) -> Iterator[ClientConnection]:
    """A client that reads nothing until it is asked to, and keeps little in its kernel."""
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    tcp.connect(("127.0.0.1", server.port))
    with connect(f"{server.ws_url}/{policy}", sock=tcp, max_queue=1, compression=None, close_timeout=WAIT_S) as client:
        yield client


def publish(hub_server: LiveServer, policy: str, first: int, count: int) -> dict[str, int]:
    response = httpx.post(f"{hub_server.url}/{policy}", json=[first, count], timeout=WAIT_S)
    assert response.status_code == 200
    counts: dict[str, int] = response.json()
    return counts


def fill(hub_server: LiveServer, policy: str) -> tuple[int, int]:
    """Publish until messages are dropped; return how many were published, and how many dropped."""
    published = 0
    for _ in range(100):
        counts = publish(hub_server, policy, published, 50)
        published += 50
        if counts["dropped"]:
            return published, counts["dropped"]
    raise AssertionError(f"nothing is dropped of {published * 16} kB")


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "conflate"])
def test_what_a_slow_client_misses_is_what_was_counted(hub_server: LiveServer, policy: str) -> None:
    with slow(hub_server, policy) as client:
        published, dropped = fill(hub_server, policy)
        # Once the client reads, all that was kept comes, and then everything again.
        received = []
        while len(received) < published - dropped:
            received.append(int(client.recv(timeout=WAIT_S)))
        counts = publish(hub_server, policy, published, 1)
        assert int(client.recv(timeout=WAIT_S)) == published
    assert counts == {"dropped": dropped, "disconnected": 0}
    assert received[0] == 0
    if policy != "conflate":
        assert received == sorted(received)
    if policy == "drop_newest":
        # The kernel may take some of them in the middle of the burst: then there is room for later ones.
        assert received[:8] == list(range(8))
    elif policy == "drop_oldest":
        assert received[-8:] == list(range(published - 8, published))
    else:
        # The newest of each key.
        assert {published - 3, published - 2, published - 1} <= set(received)
        for key in range(3):
            of_key = [number for number in received if number % 3 == key]
            assert of_key == sorted(of_key)


def test_a_slow_client_is_disconnected_with_1013_and_the_others_miss_nothing(hub_server: LiveServer) -> None:
    with slow(hub_server, "disconnect") as client, connect(f"{hub_server.ws_url}/default", compression=None) as other:
        received: list[int] = []
        reading = threading.Thread(target=lambda: received.extend(int(message) for message in other))
        reading.start()
        published, _ = fill(hub_server, "disconnect")
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(published):
                client.recv(timeout=WAIT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "client too slow")
        counts = publish(hub_server, "disconnect", published, 0)
        assert counts["disconnected"] == 1
        other.close()
        reading.join(WAIT_S)
    assert received == sorted(set(received))


@pytest.mark.parametrize("how", ["send", "send-media", "start", "receive", "iterate", "wait"])
def test_nothing_of_a_room_is_sent_before_the_responder_has_spoken_or_listens(hub_server: LiveServer, how: str) -> None:
    with connect(f"{hub_server.ws_url}/held/{how}") as client:
        expected = {"send": ["welcome"], "send-media": ['"welcome"']}.get(how, [])
        expected += ["missed", "live"]
        # Its own joining comes at some point after the welcome.
        joined = "Joined(room='other', member='ada', info=None, devices=1)"
        received = [client.recv(timeout=WAIT_S) for _ in range(len(expected) + 1)]
        assert joined in received
        received.remove(joined)
        assert received == expected
        if how in ("send", "send-media", "start"):
            client.send("echo")
            assert client.recv(timeout=WAIT_S) == "echo"


@pytest.mark.parametrize(
    "sizes",
    [[3000] * 400, [1_000_000, 5], [1_000_000] * 8, [64] * 5000],
    ids=["400 at once", "large and small", "8 MB", "5000 at once"],
)
def test_a_burst_disconnects_no_client_that_reads(hub_server: LiveServer, sizes: list[int]) -> None:
    with contextlib.ExitStack() as stack:
        address = f"{hub_server.ws_url}/default"
        clients = [stack.enter_context(connect(address, compression=None, max_size=None)) for _ in range(5)]
        response = httpx.put(f"{hub_server.url}/default", json=sizes, timeout=WAIT_S)
        assert response.status_code == 200
        for client in clients:
            assert [len(client.recv(timeout=WAIT_S)) for _ in sizes] == sizes
    counts = publish(hub_server, "default", 0, 0)
    assert counts == {"dropped": 0, "disconnected": 0}


def test_a_client_that_does_not_read_is_disconnected_after_its_lag(hub_server: LiveServer) -> None:
    with slow(hub_server, "impatient") as client:
        httpx.put(f"{hub_server.url}/default", json=[100_000] * 100, timeout=WAIT_S)
        deadline = time.monotonic() + WAIT_S
        while publish(hub_server, "impatient", 0, 0)["disconnected"] == 0:
            assert time.monotonic() < deadline
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.recv(timeout=WAIT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "client too slow")


def test_a_slow_client_with_conflation_sees_recent_values() -> None:
    """It reads a fifth of what is published, and is at most 50 rounds behind: little waits outside of the backlog."""
    hub = Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/{policy}", Feed(hub))
    lags: list[int] = []
    with LiveServer(app, ws=ENGINES["falconws"], ws_per_message_deflate=False) as server, socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        handshake(tcp, server.port, "/conflate")
        received = b""
        read = published = 0
        while published < 200:
            # 20 values of 110 bytes each round, and a fifth of that for the client.
            for key in range(20):
                hub.publish_threadsafe("room", f"[{published}]".ljust(106, "."), key=str(key), timeout_s=WAIT_S)
            published += 1
            while read < published * 440:
                received += (data := tcp.recv(550))
                read += len(data)
            lags += [published - int(match[1]) for match in re.finditer(rb"\[(\d+)\]", received)]
            received = received[received.rfind(b"[") :] if received.rfind(b"[") > received.rfind(b"]") else b""
    assert len(lags) > 400
    assert max(lags) < 50


def test_all_clients_receive_everything_in_the_order_of_each_publisher(hub_server: LiveServer) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(f"{hub_server.ws_url}/default")) for _ in range(8)]
        senders = [
            threading.Thread(target=lambda n=n, c=c: [c.send(json.dumps([n, i])) for i in range(50)])
            for n, c in enumerate(clients)
        ]
        for sender in senders:
            sender.start()
        transcripts = [[json.loads(client.recv(timeout=WAIT_S)) for _ in range(400)] for client in clients]
        for sender in senders:
            sender.join(WAIT_S)
    assert all(transcript == transcripts[0] for transcript in transcripts)
    for publisher in range(8):
        assert [i for n, i in transcripts[0] if n == publisher] == list(range(50))


STALLED = 1000
BACKLOG_BYTES = 32 * 1024
WRITE_BUFFER_BYTES = 512 * 1024
"""The high-water mark of a connection; what is published within one iteration of the event loop comes on top."""
PACE_BYTES = 20 * 1024

STALLED_APP = f"""
    import os
    import falconws
    hub = falconws.Hub(policy=falconws.Policy.drop_oldest(max_messages=64, max_bytes={BACKLOG_BYTES}))
    class Room:
        async def on_websocket(self, req, ws):
            await ws.accept()
            async with hub.subscribe(ws, "room"):
                await ws.wait_disconnected()
        async def on_post(self, req, resp):
            for number in range(await req.get_media()):
                await hub.publish("room", os.urandom(4000))
            stats = hub.stats
            resp.media = [stats.delivered + stats.dropped + stats.waiting, stats.dropped]
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", Room())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_thousand_stalled_subscribers_stay_within_the_sum_of_the_bounds(tmp_path: Path) -> None:
    (tmp_path / "stalled.py").write_text(textwrap.dedent(STALLED_APP))
    # Nobody is cut off for taking nothing, or for not answering a ping, however long it takes a slow machine.
    connection = "ConnectionSettings(send_timeout_s=None, ping_interval_s=None)"
    options = f"port=0, app_dir={str(tmp_path)!r}, connection={connection}"
    code = f"from falconws.server import ConnectionSettings, run; run('stalled:app', {options})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = next(m for line in process.stdout if (m := re.search(r"http://127\.0\.0\.1:(\d+)", line)))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            port = int(address[1])
            with contextlib.ExitStack() as stack:
                for _ in range(STALLED):
                    stack.enter_context(stalled(port))
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                    http.post("/", json=1)
                    before = resident_bytes(process.pid)
                    counted = dropped = published = 0
                    # Until everybody drops: half of what is delivered, at least.
                    while dropped < 100 * STALLED and published < 2000:
                        published += 100
                        counted, dropped = http.post("/", json=100).json()
                    growth = resident_bytes(process.pid) - before
                assert counted == (published + 1) * STALLED
                assert dropped >= 100 * STALLED
                assert growth < STALLED * (BACKLOG_BYTES + WRITE_BUFFER_BYTES + PACE_BYTES)
        finally:
            process.kill()


@contextlib.contextmanager
def stalled(port: int) -> Iterator[None]:
    """A client that never reads anything after the handshake."""
    with socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        handshake(tcp, port, "/")
        yield


def handshake(tcp: socket.socket, port: int, path: str) -> None:
    tcp.settimeout(WAIT_S)
    tcp.connect(("127.0.0.1", port))
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    tcp.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b" 101 " in tcp.recv(64)
