"""The memory of a process, as the kernel counts it."""

import os
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes. Linux only."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
