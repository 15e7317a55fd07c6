"""Ports for servers that are not told to take any, or that have to come back on the one they had."""

import contextlib
import secrets
import socket


def free_port() -> int:
    """Return a port on loopback that nobody has.

    It is below those that the kernel gives to whoever asks for any, and to connections: one of these could take it
    before the server does, or while the server is away.
    """
    while True:
        # Not from `random`: its seed may be the same in processes that run side by side.
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
