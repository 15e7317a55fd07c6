"""The memory of all connections together: a budget for what clients have sent and the application has not received.

Looked at: whole messages of any kind (small, large, text that takes four bytes a character), messages in fragments, a
part of one large frame, and many connections that hold a little; what the application takes later; clients that leave;
messages that cannot be completed; a connection that ends while messages wait. The budget is far below what the clients
send, so a server without it fails each of these.
"""

import contextlib
import socket
import threading

import pytest

from falconws.server import ConnectionSettings
from tests.e2e.server.server_process import by_loop
from tests.memory import resident_bytes

KIB = 1024
MIB = 1024 * KIB
CLIENTS = 100
BUDGET = 8 * MIB
STOPPED = "are not read for now"

APP = """
    import asyncio

    begin = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/begin":
            begin.set()
        if scope["path"] == "/later":
            await begin.wait()
        if scope["path"] == "/never":
            ended = asyncio.Event()
            scope["extensions"]["falconws.connection"].add_disconnect_callback(ended.set)
            await ended.wait()
            return
        size = count = 0
        while (event := await receive())["type"] == "websocket.receive":
            payload = event.get("bytes") or event["text"]
            size += len(payload)
            if scope["path"] == "/echo" or payload == "how much":
                await send({"type": "websocket.send", "text": str(size)})
"""


def start(serve, loop: str, **limits):
    settings = ConnectionSettings(**{"max_total_unread_bytes": BUDGET, "ping_interval_s": None, **limits})
    return serve(APP, prelude=loop, connection=settings, drain_s=0.2).wait_until_ready()


def connect(dial, server, path: str, count: int = CLIENTS) -> list:
    clients = [dial(server.port) for _ in range(count)]
    for client in clients:
        client.handshake(path)
    return clients


def send_all(clients: list, data: bytes) -> None:
    """Send *data* from each client, as far as the server and the kernel take it."""
    for client in clients:
        client.socket.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            client.send(data)
        client.socket.settimeout(40)


def settle(dial, server) -> None:
    """Wait until the server has read what it will read: an honest client has its answers meanwhile."""
    (client,) = connect(dial, server, "/echo", 1)
    for _ in range(50):
        client.send_frame(1, b"x")
        assert client.read_frame()[0] == 1


def read_message(client) -> tuple[int, bytes]:
    """Return the next message; a client that is not read gets pongs, which show whether it is still there."""
    while (frame := client.read_frame())[0] == 10:
        pass
    return frame


def frames(kind: str, client) -> bytes:
    size = 900 * KIB
    if kind == "one message":
        return client.frame(2, bytes(size))
    if kind == "wide text":
        # One byte a character on the wire, four in memory.
        return client.frame(1, b"x" * (size // 4 - 4) + "\N{SEEDLING}".encode())
    if kind == "small messages":
        return client.frame(2, bytes(100)) * (size // 164)
    if kind == "fragments":
        return client.frame(2, bytes(1000), fin=False) + client.frame(0, bytes(1000), fin=False) * (size // 1000)
    return client.frame(2, bytes(size), size=size + 1)


KINDS = ["one message", "wide text", "small messages", "fragments", "a part of a frame"]


@by_loop
@pytest.mark.parametrize("kind", KINDS)
def test_what_all_clients_have_sent_unread_is_bounded(serve, dial, loop, kind):
    server = start(serve, loop)
    clients = connect(dial, server, "/never")
    settle(dial, server)
    before = resident_bytes(server.pid)
    # The clients send eleven times the budget, and less than the limit of each.
    send_all(clients, frames(kind, clients[0]))
    settle(dial, server)
    server.wait_for_line(STOPPED)
    # The budget, and for each connection its last two reads and a buffer that has grown: 36 MB, and 50 if all buffers
    # had grown. Without the budget it is all that was sent, at least 90 MB.
    assert resident_bytes(server.pid) - before < CLIENTS * 600 * KIB


@by_loop
def test_everything_arrives_when_the_application_takes_it(serve, dial, loop):
    server = start(serve, loop)
    clients = connect(dial, server, "/later")
    size = 900 * KIB
    data = clients[0].frame(2, bytes(9 * KIB)) * 100 + clients[0].frame(1, b"how much")
    senders = [threading.Thread(target=client.send, args=(data,)) for client in clients]
    for sender in senders:
        sender.start()
    server.wait_for_line(STOPPED)
    connect(dial, server, "/begin", 1)
    for client in clients:
        assert read_message(client) == (1, str(size + len("how much")).encode())
    for sender in senders:
        sender.join()


@pytest.mark.parametrize("how", ["leave", "reset", "close"])
def test_clients_are_read_again_when_others_have_gone(serve, dial, how):
    server = start(serve, "")
    clients = connect(dial, server, "/never")
    send_all(clients, frames("one message", clients[0]))
    send_all(clients, frames("a part of a frame", clients[0]))
    (honest,) = connect(dial, server, "/echo", 1)
    large = threading.Thread(target=honest.send_frame, args=(2, bytes(MIB - 1)))
    large.start()
    server.wait_for_line(STOPPED)
    for client in clients:
        if how == "close":
            client.socket.shutdown(socket.SHUT_RDWR)
        elif how == "reset":
            client.reset()
        else:
            client.socket.close()
    assert read_message(honest) == (1, str(MIB - 1).encode())
    large.join()


@pytest.mark.parametrize("kind", ["fragments", "a part of a frame"])
def test_a_message_for_which_there_is_no_memory_is_1013(serve, dial, kind):
    server = start(serve, "", message_timeout_s=1)
    clients = connect(dial, server, "/echo")
    send_all(clients, frames(kind, clients[0]))
    server.wait_for_line(STOPPED)
    codes = []
    for client in clients:
        client.socket.settimeout(10)
        codes.append(client.read_close()[0])
    # Who completes nothing is 1008 in the same time; nobody is told that the application failed.
    assert set(codes) <= {1008, 1013}
    assert 1013 in codes
    server.wait_for_line("WebSocket closed: no memory for the rest of a message")
    (honest,) = connect(dial, server, "/echo", 1)
    honest.send_frame(2, bytes(500_000))
    assert read_message(honest) == (1, b"500000")


def test_without_a_limit_each_connection_has_its_own_only(serve, dial):
    server = start(serve, "", max_total_unread_bytes=None)
    clients = connect(dial, server, "/never", 40)
    settle(dial, server)
    before = resident_bytes(server.pid)
    send_all(clients, frames("one message", clients[0]))
    settle(dial, server)
    assert resident_bytes(server.pid) - before > 2 * BUDGET
    assert STOPPED not in server.output
