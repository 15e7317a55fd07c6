"""The protocol class on uvicorn alone, as `uvicorn app --ws falconws.server:WebSocketProtocol` uses it."""

import subprocess
import sys
import textwrap

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

APP = """
    async def app(scope, receive, send):
        if scope["type"] != "websocket":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_any_app_runs_on_it_and_uvicorns_options_hold(tmp_path, loop, http):
    (tmp_path / "plain.py").write_text(textwrap.dedent(APP))
    command = [sys.executable, "-u", "-m", "uvicorn", "plain:app", "--port", "0", "--loop", loop, "--http", http]
    options = ["--ws", "falconws.server:WebSocketProtocol", "--ws-max-size", "1000", "--no-use-colors"]
    process = subprocess.Popen([*command, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        url = line.split("http", 1)[1].split()[0]
        with connect("ws" + url, compression=None) as client:
            for message in ("x" * 1000, b"\x00"):
                client.send(message)
                assert client.recv(timeout=20) == message
            client.send("x" * 1001)
            with pytest.raises(ConnectionClosedError, match="1009"):
                client.recv(timeout=20)
        with connect("ws" + url) as client:
            process.terminate()
            with pytest.raises(ConnectionClosedError, match="1012"):
                client.recv(timeout=20)
        process.wait(10)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()
