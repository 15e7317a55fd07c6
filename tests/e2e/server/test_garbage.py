"""What a connection leaves behind: nothing that only the garbage collector could clear away."""

import pytest

CONNECTIONS = 20

APP = """
    import gc

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        await receive()
        if scope["path"] == "/garbage":
            await send({"type": "websocket.accept"})
            gc.disable()
            await send({"type": "websocket.send", "text": str(gc.collect())})
        elif scope["path"] == "/denies":
            await send({"type": "websocket.close"})
        else:
            await send({"type": "websocket.accept"})
            if scope["path"] == "/waits":
                await receive()
"""


def _garbage(server, dial):
    client = dial(server.port)
    client.handshake("/garbage")
    return int(client.read_frame()[1])


@pytest.mark.parametrize("path", ["/waits", "/closes", "/denies"])
def test_a_connection_leaves_no_reference_cycle(serve, dial, path):
    server = serve(APP).wait_until_ready()
    _garbage(server, dial)
    for _ in range(CONNECTIONS):
        client = dial(server.port)
        client.handshake(path)
        if path != "/denies":
            client.send_frame(8, b"\x03\xe8")
            client.read_close()
        assert client.at_end()
    assert _garbage(server, dial) < CONNECTIONS
