"""Workers that are forked from a process that has imported the application, as `gunicorn --preload` does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.hub.servers import BrokerServer

FORKED = """
import asyncio, os, sys
import falconws

hub = falconws.Hub(sys.argv[1])

async def publish(worker):
    async with hub:
        return [str(await hub.publish("preloaded", f"{worker} {number}")) for number in range(20)]

for worker in range(3):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, "\\n".join(asyncio.run(publish(worker))).encode())
        os._exit(0)
    os.close(writer)
    print(os.fdopen(reader).read())
    os.wait()
"""


@pytest.mark.parametrize("kind", ["valkey", "nats", "memory"])
def test_workers_that_are_forked_publish_messages_of_their_own(kind: str, request: pytest.FixtureRequest) -> None:
    server: BrokerServer | None = None if kind == "memory" else request.getfixturevalue(kind)
    url = "memory://" if server is None else server.url
    done = subprocess.run([sys.executable, "-c", FORKED, url], capture_output=True, text=True, timeout=60, check=True)
    positions = done.stdout.split()
    assert len(positions) == 60
    # Over memory each worker has rooms of its own, and with them epochs.
    assert len(set(positions)) == 60
