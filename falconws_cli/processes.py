"""Finds the processes that listen on a local port, and their CPU time. Reads /proc, so it finds nothing elsewhere."""

import os
from collections.abc import Sequence
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def listening_pids(port: int) -> list[int]:
    """Return the processes that listen on a TCP port; empty when they cannot be determined."""
    wanted = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _inodes(_PROC / "net" / name, port)}
    if not wanted:
        return []
    found = []
    for folder in _PROC.glob("[0-9]*"):
        try:
            descriptors = list((folder / "fd").iterdir())
        except OSError:
            # It belongs to another user, or has just ended.
            continue
        if any(_link(descriptor) in wanted for descriptor in descriptors):
            found.append(int(folder.name))
    return sorted(found)


def cpu_seconds(pids: Sequence[int]) -> float | None:
    """Return the CPU time that the processes have used so far; None when one of them cannot be read."""
    total = 0
    for pid in pids:
        try:
            # The name is in parentheses, and may contain spaces and parentheses itself.
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK") if pids else None


def name_of(pid: int) -> str:
    """Return the name of a process; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _inodes(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return [row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""
