"""Run the three cases and print the honest client's median, its worst echo, and the longest wait of the event loop."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, perf_counter

from tests.e2e.server.raw_client import RawClient

SECONDS = 5.0
MEDIAN_GOAL_S = 0.030
LONGEST_GOAL_S = 0.050
ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def server(options: str) -> Iterator[int]:
    """Serve on a free port and yield it."""
    code = (
        "from falconws.server import *; "
        f"run('tests.benchmarks.fairness.app:app', port=0, access_log=False, log_level='warning', {options})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        match = re.search(r"serves \S+:(\d+) ", process.stdout.readline())
        assert match is not None
        yield int(match[1])
    finally:
        process.terminate()
        process.wait(30)


def attack(port: int, path: str, message: Callable[[], bytes], end: threading.Event, **headers: str) -> None:
    """Send *message* again and again, on a new connection when the server ends one, and read what comes back."""
    while not end.is_set():
        client = RawClient(port)
        client.socket.settimeout(0.5)
        with contextlib.suppress(OSError):
            client.handshake(path, **headers)
            reader = threading.Thread(target=read_all, args=(client,), daemon=True)
            reader.start()
            data = message()
            while not end.is_set() and reader.is_alive():
                with contextlib.suppress(TimeoutError):
                    client.socket.send(data)
        client.socket.close()


def read_all(client: RawClient) -> None:
    with contextlib.suppress(OSError):
        while True:
            with contextlib.suppress(TimeoutError):
                if not client.socket.recv(1 << 20):
                    return


def echoes(port: int) -> list[float]:
    """Return how long an honest client waited for each echo, in seconds."""
    client = RawClient(port)
    client.handshake("/echo")
    times = []
    end = monotonic() + SECONDS
    while monotonic() < end:
        start = perf_counter()
        client.send_frame(1, b"are you there")
        while (frame := client.read_frame()) is not None and frame[0] != 1:
            pass
        times.append(perf_counter() - start)
        threading.Event().wait(0.005)
    client.socket.close()
    return times


def longest_wait(port: int) -> float:
    client = RawClient(port)
    client.handshake("/stats")
    frame = client.read_frame()
    assert frame is not None
    client.socket.close()
    return float(frame[1])


JSON = json.dumps({"id": 1, "payload": [{"name": f"item {n}", "value": n * 1.5} for n in range(1700)]}).encode()


def json_messages() -> bytes:
    return RawClient.frame(1, JSON) * 4


def bombs() -> bytes:
    """Return frames that inflate to a megabyte of JSON each."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    text = json.dumps({"id": 1, "payload": "x" * 1_000_000}).encode()
    payload = (compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH))[:-4]
    return RawClient.frame(1, payload, rsv=4) * 50


def pings() -> bytes:
    return RawClient.frame(9) * 10_000


CASES = [
    ("8 clients that send 64 kB of JSON", "", 8, "/json", json_messages, {}),
    (
        "1 client whose compressed messages inflate to 1 MB",
        "connection=ConnectionSettings(deflate=DeflateSettings())",
        1,
        "/json",
        bombs,
        {"sec_websocket_extensions": "permessage-deflate"},
    ),
    ("1 client that sends empty pings", "", 1, "/echo", pings, {}),
]


def main() -> int:
    """Run all cases; return 1 when a goal was missed."""
    missed = False
    for title, options, number, path, message, headers in CASES:
        with server(options) as port:
            end = threading.Event()
            longest_wait(port)
            threads = [
                threading.Thread(target=attack, args=(port, path, message, end), kwargs=headers, daemon=True)
                for _ in range(number)
            ]
            for thread in threads:
                thread.start()
            times = echoes(port)
            longest = longest_wait(port)
            end.set()
            for thread in threads:
                thread.join(5)
        median = statistics.median(times)
        missed = missed or median > MEDIAN_GOAL_S or longest > LONGEST_GOAL_S
        print(
            f"{title:52} median {median * 1000:7.1f} ms   worst {max(times) * 1000:7.1f} ms   "
            f"longest wait of the loop {longest * 1000:7.1f} ms",
            flush=True,
        )
    print(f"Goals: a median of {MEDIAN_GOAL_S * 1000:.0f} ms, no wait above {LONGEST_GOAL_S * 1000:.0f} ms.")
    return int(missed)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
