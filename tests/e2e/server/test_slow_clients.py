"""Slow clients stay connected while they make progress; clients that make none are noticed, whatever else goes on.

Looked at, and held here or in the module named:

- gone while reading is paused: reset, closed, over TCP, TLS and a Unix socket, with pings and without (here);
- gone before the accept, while the start of the conversation waits: bounded by handshake_timeout_s (test_trust);
- progress: a closing handshake, either side's, behind a large buffer; a ping behind a large buffer; a ping while a
  large message comes in; what is sent to a client that is slow; a client that takes less than the minimum (here);
- progress of a request: its head by age, its body and its response by a minimum rate (test_http);
- a connection that fails, and a drain, end after their own time: neither owes the client anything (test_drain);
- an unfinished message: in fragments, whole ones or cut, with pings and without; in one frame, cut in each of its
  fields, with pings (which it cannot answer) and without; a control frame; while the application does not read; one
  whose fragments keep coming, fast enough or dripping (here);
- order: concurrent `send()` in every state of the queue, and the `try_` methods (test_connection, test_flow_control);
  `close()` does not wait for messages of other tasks, which raise OSError.
"""

import contextlib
import socket
import threading
import time

import pytest

from falconws.server import ConnectionSettings, DeflateSettings
from tests.e2e.server.raw_client import handshake_request
from tests.e2e.server.server_process import LOOPS, by_loop

MIB = 1024 * 1024

APP = """
    import asyncio

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        connection = scope["extensions"]["falconws.connection"]
        ended = asyncio.Event()
        connection.add_disconnect_callback(ended.set)
        try:
            if scope["path"] == "/reads-nothing":
                await ended.wait()
            elif scope["path"].startswith("/says-"):
                _, number, *listens = scope["path"].split("-")
                for _ in range(int(number)):
                    await send({"type": "websocket.send", "bytes": bytes(1024 * 1024)})
                if not listens:
                    await send({"type": "websocket.close", "code": 4000})
            while (event := await receive())["type"] != "websocket.disconnect":
                if scope["path"] == "/counts":
                    await send({"type": "websocket.send", "text": str(len(event["bytes"]))})
        except OSError:
            pass
        print("ended", connection.close_code, flush=True)
"""


def fill(client) -> None:
    """Send messages until neither the server nor the kernel takes more."""
    client.socket.settimeout(1)
    with contextlib.suppress(TimeoutError):
        for _ in range(64):
            client.send(client.frame(2, bytes(MIB)))
    client.socket.settimeout(40)


def leave(client, how: str) -> None:
    if how == "reset":
        client.reset()
    else:
        client.socket.close()


# Each value with each other value.
@pytest.mark.parametrize(
    ("loop", "pings", "encrypted", "how"),
    [
        pytest.param("", False, False, "closed", id="uvloop-no pings-tcp-closed"),
        pytest.param("", True, True, "reset", id="uvloop-pings-tls-reset"),
        pytest.param(LOOPS["asyncio"], False, True, "reset", id="asyncio-no pings-tls-reset"),
        pytest.param(LOOPS["asyncio"], True, False, "reset", id="asyncio-pings-tcp-reset"),
        pytest.param(LOOPS["asyncio"], True, True, "closed", id="asyncio-pings-tls-closed"),
    ],
)
def test_a_client_that_leaves_while_reading_is_paused_is_noticed(serve, dial, tls, loop, pings, encrypted, how):
    from falconws.server import TlsSettings

    certificate, context = tls
    options = {"tls": TlsSettings(certificate)} if encrypted else {}
    settings = ConnectionSettings(ping_interval_s=0.5 if pings else None)
    server = serve(APP, prelude=loop, connection=settings, **options)
    client = dial(server.port)
    if encrypted:
        client.encrypt(context)
    client.handshake("/reads-nothing")
    if pings:
        # One is under way when the client leaves.
        assert client.read_frame()[0] == 9
    fill(client)
    leave(client, how)
    server.wait_for_line("^ended 1006", timeout=20)


def test_a_client_that_leaves_a_unix_socket_while_reading_is_paused_is_noticed(serve, tmp_path):
    path = str(tmp_path / "s")
    server = serve(APP, uds=path, connection=ConnectionSettings(ping_interval_s=None))
    server.wait_for_line("serves")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(handshake_request("/reads-nothing"))
        assert b" 101 " in client.recv(1000)
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                client.sendall(b"\x82\xfe\xff\xff" + bytes(4 + 65535))
    server.wait_for_line("^ended 1006", timeout=20)


def read_slowly(client, size: int, bytes_per_s: int) -> bytes:
    """Return *size* bytes, or what comes before the end, read at *bytes_per_s*."""
    data = b""
    start = time.monotonic()
    while len(data) < size:
        due = start + len(data) / bytes_per_s
        if (ahead := due - time.monotonic()) > 0:
            threading.Event().wait(ahead)
        try:
            more = client.socket.recv(min(65536, size - len(data)))
        except ConnectionError:
            break
        if not more:
            break
        data += more
    return data


SAID = 4 * (MIB + 10)


@by_loop
def test_close_waits_for_a_slow_client_that_makes_progress(serve, dial, loop):
    # 4 MiB take seven seconds; after two seconds without progress it would be disconnected.
    server = serve(APP, prelude=loop, connection=ConnectionSettings(close_timeout_s=2.0, ping_interval_s=None))
    client = dial(server.port, receive_buffer=65536)
    client.handshake("/says-4")
    # The head may have come with the beginning of the messages.
    early, client._unread = len(client._unread), b""
    read_slowly(client, SAID - early - 4096, 600_000)
    assert client.read_close() == (4000, "")
    client.send_frame(8, b"\x0f\xa0")
    assert client.at_end()


def test_close_gives_up_on_a_client_that_takes_less_than_the_minimum(serve, dial):
    settings = ConnectionSettings(close_timeout_s=1.0, ping_interval_s=None, min_bytes_per_s=8 * MIB)
    server = serve(APP, connection=settings)
    client = dial(server.port, receive_buffer=65536)
    client.handshake("/says-4")
    # What the kernel had taken over arrives; the close frame does not.
    assert len(read_slowly(client, SAID + 4, 600_000)) < SAID


def test_what_waits_is_delivered_to_a_slow_client_that_closes(serve, dial):
    server = serve(APP, connection=ConnectionSettings(close_timeout_s=0.5, ping_interval_s=None))
    client = dial(server.port, receive_buffer=65536)
    client.handshake("/says-4-listens")
    # The last of the four is on its way when three have been read.
    read_slowly(client, 3 * (MIB + 10), 3_000_000)
    client.send_frame(8, b"\x03\xe8")
    data = read_slowly(client, MIB + 10 + 4, 300_000)
    assert data.endswith(b"\x88\x02\x03\xe8")


def test_a_client_that_takes_less_than_the_minimum_is_disconnected(serve, dial):
    settings = ConnectionSettings(send_timeout_s=1.0, ping_interval_s=None, min_bytes_per_s=8 * MIB)
    server = serve(APP, connection=settings)
    client = dial(server.port, receive_buffer=65536)
    client.handshake("/says-16")
    read_slowly(client, 2 * MIB, 600_000)
    server.wait_for_line(r"WebSocket disconnected: it took \d+ bytes in \d+ s, and \d+ wait")


class Answers:
    """Reads frames at a speed, and answers pings."""

    def __init__(self, client, bytes_per_s: int) -> None:
        self.client = client
        self.bytes_per_s = bytes_per_s

    def until_close(self) -> tuple[int, int]:
        """Return the number of whole messages, and the code of the close frame; 1006 when there was none."""
        client, messages = self.client, 0
        client._read = self._read
        while (frame := client.read_frame()) is not None:
            if frame[0] == 9:
                client.send_frame(10, frame[1])
            elif frame[0] == 8:
                return messages, int.from_bytes(frame[1][:2], "big")
            else:
                messages += 1
        return messages, 1006

    def _read(self, size: int) -> bytes | None:
        client = self.client
        buffered, client._unread = client._unread[:size], client._unread[size:]
        data = buffered + read_slowly(client, size - len(buffered), self.bytes_per_s)
        return data if len(data) == size else None


@by_loop
def test_a_slow_client_is_not_blamed_for_a_ping_that_waits_behind_messages(serve, dial, loop):
    # What waits in both kernels and in the server takes seconds; a ping has to be answered within one.
    settings = ConnectionSettings(ping_interval_s=0.2, ping_timeout_s=1.0, send_timeout_s=None)
    server = serve(APP, prelude=loop, connection=settings)
    client = dial(server.port, receive_buffer=65536)
    client.handshake("/says-4")
    assert Answers(client, 700_000).until_close() == (4, 4000)


def test_a_client_in_the_middle_of_a_large_frame_is_not_blamed_for_a_missing_pong(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.2, ping_timeout_s=0.5))
    client = dial(server.port)
    client.handshake("/counts")
    frame = client.frame(2, bytes(MIB - 1000))
    for start in range(0, len(frame), 20_000):
        # Three seconds in all.
        client.send(frame[start : start + 20_000])
        threading.Event().wait(0.06)
    while (answer := client.read_frame())[0] == 9:
        client.send_frame(10, answer[1])
    assert answer == (1, str(MIB - 1000).encode())


PARTS = {
    "a part of the payload": b"\x82\xff" + (900_000).to_bytes(8, "big") + bytes(4) + bytes(500_000),
    "the beginning of the payload": b"\x82\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b"x",
    "a compressed one": b"\xc2\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b"x",
    "a fragment": b"\x02\x81\0\0\0\0x\x00\xfe\xff\xff\0\0\0\0x",
    "a ping": b"\x89\xfd\0\0\0\0x",
    "a close frame": b"\x88\xfd\0\0\0\0x",
    "a mask": b"\x81\xfe\xff\xff\0",
    "a length": b"\x81\xff\0",
    "one byte": b"\x82",
}


@pytest.mark.parametrize("pings", [True, False], ids=["pings", "no pings"])
@by_loop
@pytest.mark.parametrize(
    ("part", "drips"),
    # Without pings the rate is an average, which half a megabyte keeps up for long. More of a length would be an error.
    [(part, False) for part in PARTS] + [(part, True) for part in list(PARTS)[1:-2]],
)
def test_a_client_that_is_too_slow_within_a_frame_is_told(serve_module, dial, loop, part, pings, drips):
    settings = ConnectionSettings(
        ping_interval_s=0.2 if pings else None, ping_timeout_s=0.7, message_timeout_s=0.7, deflate=DeflateSettings()
    )
    server = serve_module(APP, prelude=loop, connection=settings)
    client = dial(server.port)
    client.handshake("/counts", sec_websocket_extensions="permessage-deflate")
    client.send(PARTS[part])
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            # The mask is complete soon; what follows is the payload, of which much is missing.
            while not ended.wait(0.1):
                client.send(b"\0")

    dripping = threading.Thread(target=drip, daemon=True)
    if drips:
        dripping.start()
    code, reason = client.read_close()
    ended.set()
    assert code == 1008
    assert reason in ("a message came too slowly for 0.7 s", "nothing of a message came for 0.7 s")


def test_a_client_that_takes_everything_and_answers_no_ping_is_disconnected(serve, dial):
    settings = ConnectionSettings(ping_interval_s=0.2, ping_timeout_s=0.5)
    server = serve(APP, connection=settings)
    client = dial(server.port)
    client.handshake("/says-4-listens")
    read_slowly(client, SAID + 1000, 20_000_000)
    server.wait_for_line("WebSocket disconnected: no answer to a ping")


def test_a_client_that_is_not_read_and_acknowledges_pings_stays(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.1, ping_timeout_s=1.0))
    client = dial(server.port)
    client.handshake("/reads-nothing")
    client.send(client.frame(2, bytes(MIB - 100)) * 2)
    for _ in range(5):
        # Several would be due by the time that the first one should have been answered.
        assert client.read_frame()[0] in (9, 10)
    assert "disconnected" not in server.output


@pytest.mark.parametrize("pings", [True, False], ids=["pings", "no pings"])
@pytest.mark.parametrize("rest", ["fragment", "cut fragment", "cut frame", "frame that fills the buffer"])
def test_a_message_that_is_not_completed_ends_the_connection(serve, dial, pings, rest):
    settings = ConnectionSettings(
        message_timeout_s=1.0, ping_interval_s=0.3 if pings else None, ping_timeout_s=1.0, close_timeout_s=1.0
    )
    server = serve(APP, connection=settings)
    client = dial(server.port)
    client.handshake("/counts")
    if "fragment" in rest:
        client.send_frame(2, b"part", fin=False)
    if rest == "fragment":
        end = threading.Event()
        threading.Thread(target=answer_pings, args=(client, end), daemon=True).start()
        server.wait_for_line("WebSocket failed with 1008: nothing of a message came for 1 s")
        end.set()
        return
    if rest == "frame that fills the buffer":
        # Of picows' parser: a full buffer is as good as a partly filled one.
        client.send(client.frame(2, b"x" * 10_000)[:1792])
    else:
        client.send(client.frame(0 if rest == "cut fragment" else 2, b"x" * 100, size=1000))
    server.wait_for_line("WebSocket failed with 1008: (nothing of a message came|a message came too slowly) for 1 s")


def answer_pings(client, end) -> None:
    with contextlib.suppress(OSError):
        while not end.is_set() and (frame := client.read_frame()) is not None:
            if frame[0] == 9:
                client.send_frame(10, frame[1])


def test_a_message_whose_fragments_keep_coming_stays(serve, dial):
    settings = ConnectionSettings(message_timeout_s=1.5, ping_interval_s=None, min_bytes_per_s=1)
    server = serve(APP, connection=settings)
    client = dial(server.port)
    client.handshake("/counts")
    client.send_frame(2, b"x", fin=False)
    for number in range(10):
        threading.Event().wait(0.3)
        client.send_frame(0, b"x", fin=number == 9)
    assert client.read_frame() == (1, b"11")


@pytest.mark.parametrize("pings", [True, False], ids=["pings", "no pings"])
@by_loop
def test_a_message_that_drips_ends_the_connection(serve, dial, loop, pings):
    settings = ConnectionSettings(message_timeout_s=1.0, ping_interval_s=0.3 if pings else None, ping_timeout_s=1.0)
    server = serve(APP, prelude=loop, connection=settings)
    client = dial(server.port)
    client.handshake("/counts")
    client.send_frame(2, b"x", fin=False)
    end = threading.Event()
    threading.Thread(target=answer_pings, args=(client, end), daemon=True).start()
    with contextlib.suppress(OSError):
        for _ in range(100):
            client.send_frame(0, b"x", fin=False)
            if end.wait(0.1) or "WebSocket failed" in server.output:
                break
    server.wait_for_line("WebSocket failed with 1008: a message came too slowly for 1 s")
    end.set()
