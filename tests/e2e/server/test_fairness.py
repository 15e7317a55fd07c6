"""A busy connection gives way: others wait for a moment, whatever it sends.

Looked at: many small messages, large ones, slow ones, compressed ones that inflate, control frames; a connection that
closes or whose task is cancelled while it waits for its time slice; a thousand busy connections, of which each goes on.
The figures, with goals, are those of `python -m tests.benchmarks.fairness`.
"""

import threading
import zlib

import pytest

from falconws.server import ConnectionSettings, DeflateSettings
from tests.e2e.server.server_process import by_loop

APP = """
    import asyncio, time

    app_log = []
    ready = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        connection = scope["extensions"]["falconws.connection"]
        name = scope["path"].strip("/")
        if name == "others":
            # Everything below happens while this one wants to be resumed after each millisecond.
            longest = 0.0
            while not ready.is_set():
                await asyncio.sleep(0.001)
            while "ended" not in app_log:
                start = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - start)
            await send({"type": "websocket.send", "text": f"{longest:.4f}"})
            return
        # Let everything arrive first.
        await asyncio.sleep(1)
        ready.set()
        while True:
            message = connection.try_receive()
            if message is None:
                event = await receive()
                if event["type"] == "websocket.disconnect":
                    break
                message = event.get("text") or event.get("bytes")
            if name == "slow":
                end = time.thread_time() + 0.004
                while time.thread_time() < end:
                    pass
            if message in ("last", b"last"):
                app_log.append("ended")
        app_log.append("ended")
"""


@by_loop
@pytest.mark.parametrize("kind", ["small", "slow", "large", "compressed"])
def test_messages_that_wait_are_taken_in_slices(serve, dial, loop, kind):
    settings = ConnectionSettings(deflate=DeflateSettings() if kind == "compressed" else None, max_queued_bytes=10**8)
    server = serve(APP, prelude=loop, connection=settings)
    others, busy = dial(server.port), dial(server.port)
    others.handshake("/others")
    extensions = {"sec_websocket_extensions": "permessage-deflate"} if kind == "compressed" else {}
    busy.handshake("/slow" if kind == "slow" else "/busy", **extensions)
    if kind == "small":
        busy.send(busy.frame(1, b"x") * 8000)
    elif kind == "slow":
        busy.send(busy.frame(1, b"x") * 100)
    elif kind == "large":
        busy.send(busy.frame(2, bytes(900_000)) * 30)
    else:
        stream = zlib.compressobj(9, zlib.DEFLATED, -12)
        payload = (stream.compress(bytes(1_000_000)) + stream.flush(zlib.Z_FULL_FLUSH))[:-4]
        busy.send(busy.frame(2, payload, rsv=4) * 100)
    busy.send_frame(1, b"last")
    opcode, longest = others.read_frame()
    assert opcode == 1
    # The slice has 5 ms, and what was expected to fit into it may take longer; unsliced, it is 0.2 to 0.5 s.
    assert float(longest) < 0.1


@by_loop
@pytest.mark.parametrize("opcode", [9, 10])
def test_a_flood_of_control_frames_is_1008(serve, dial, loop, opcode):
    server = serve(APP, prelude=loop)
    client = dial(server.port)
    client.handshake("/busy")
    client.send(client.frame(opcode) * 2000)
    assert client.read_close() == (1008, "too many control frames")


def test_control_frames_below_the_limit_are_served(serve, dial):
    server = serve(APP, connection=ConnectionSettings(max_control_frames_per_s=100))
    client = dial(server.port)
    client.handshake("/busy")
    for number in range(8):
        client.send(client.frame(9, b"%d" % number) * 40)
        assert [client.read_frame() for _ in range(40)] == [(10, b"%d" % number)] * 40
        threading.Event().wait(0.5)
