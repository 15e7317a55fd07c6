"""The lines of standard input as they come, from a pipe, a file or a terminal."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator

_READ_BYTES = 65_536
_AHEAD = 100
"""Lines that are read before they are wanted."""


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file descriptor, without their ends, until it has no more.

    Nothing waits for its reader when the program is done: input that never ends keeps no program alive.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    ahead = threading.Semaphore(_AHEAD)

    def put(line: str | None) -> None:
        ahead.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        # The loop may be closed when a line comes at last.
        with contextlib.suppress(RuntimeError):
            rest = b""
            # Not through sys.stdin: a thread that waits in it holds its lock when the interpreter ends.
            while chunk := _read(descriptor):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    put(_decoded(line))
            if rest:
                put(_decoded(rest))
            put(None)

    # A thread, because no event loop can wait for a file, nor for a pipe on Windows.
    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        ahead.release()
        yield line


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        # Closed, or a terminal that is gone.
        return b""


def _decoded(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
