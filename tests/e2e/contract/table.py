"""Writes ``docs/reference/servers.md`` from ``promises.py``: ``python -m tests.e2e.contract.table``."""

from __future__ import annotations

from .promises import EXCEPTIONS, SECTIONS
from .servers import ENGINES, ROOT

PAGE = ROOT / "docs" / "reference" / "servers.md"

_HEAD = """\
<!-- Made by `python -m tests.e2e.contract.table`; edit tests/e2e/contract/promises.py instead. -->

# Servers

A falconws application runs on any ASGI server, but not every server can keep every promise. Each line below is a
promise that the contract suite (`tests/e2e/contract`) proves over a real socket with a real client, on every server:
**yes** means that the tests pass there. A number means that they must fail there, in the way that the note with that
number tells; should a new version of the server keep the promise, the suite says so. Each of them fails on a bare ASGI
application too: it is a limit of the server.

The first column is uvicorn with falconws' own WebSocket engine, which is what `falconws serve` runs
(`--ws falconws.server:WebSocketProtocol`); the next three are uvicorn with its own engines (`--ws websockets-sansio`,
`--ws wsproto` and `--ws websockets`).
"""


def render() -> str:
    """Return the page."""
    notes: list[str] = []

    def mark(engine: str, promise: str) -> str:
        limit = EXCEPTIONS.get((engine, promise))
        if limit is None:
            return "yes"
        if limit.reason not in notes:
            notes.append(limit.reason)
        return f"[{notes.index(limit.reason) + 1}](#notes)"

    lines = [_HEAD]
    for section, promises in SECTIONS.items():
        lines += [f"## {section}", ""]
        lines.append("| Promise | " + " | ".join(engine.title for engine in ENGINES) + " |")
        lines.append("|---|" + ":-:|" * len(ENGINES))
        for promise, text in promises.items():
            marks = (mark(engine.name, promise) for engine in ENGINES)
            lines.append(f"| {text} | " + " | ".join(marks) + " |")
        lines.append("")
    lines += ["## Notes", ""]
    lines += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
