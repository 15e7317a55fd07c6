"""``falconws serve`` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_STOP_S = 60.0


@contextmanager
def falconws_serve(folder: Path, *words: str, env: Mapping[str, str]) -> Iterator[str]:
    """Run ``falconws serve`` with *words* in *folder* for the block; yield the URL that it prints.

    It must then stop with code 0, and must not have printed a traceback.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "falconws_cli", "serve", *words],
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Application startup complete" in line:
                break
        found = re.search(r"serves (https?://\S+)", "".join(lines))
        assert found is not None, "".join(lines)
        yield found[1]
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(_STOP_S) == 0, rest
        assert "Traceback" not in rest, rest
    finally:
        process.kill()
        process.wait(_STOP_S)
        process.stdout.close()
