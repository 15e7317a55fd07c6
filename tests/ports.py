"""Ports for servers that are not told to take any, or that have to come back on the one they had."""

import contextlib
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    """Return a port on loopback that nobody has.

    It is below those that the kernel gives to anyone that asks for any, and to connections: one of these could take it
    before the server does, or while the server is away.
    """
    while True:
        # Not from `random`: its seed may be the same in processes that run side by side.
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def usual_port_to_oneself() -> Iterator[None]:
    """Keep other tests that do the same away from port 8000 for the length of the block.

    `falconws new --serve` looks whether it is free, and takes it when the app is loaded.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with Path(tempfile.gettempdir(), f"falconws-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
