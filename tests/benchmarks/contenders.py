"""The contenders: a table of what each of them runs. This module starts nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import Peers

_SERVERS = Path(__file__).parent / "servers"


@dataclass(frozen=True)
class Contender:
    """One server with one application: it echoes text on /echo, and parsed JSON on /media."""

    key: str
    title: str
    packages: tuple[str, ...]
    """The packages whose versions are reported. If the first one is not installed, the contender is left out."""
    command: Callable[[Peers, int], list[str]]
    """Returns the command line that serves on 127.0.0.1 at a port."""
    ours: bool = False


def _uvicorn(app: str) -> Callable[[Peers, int], list[str]]:
    options = ["--log-level", "warning", "--app-dir", str(_SERVERS)]
    return lambda peers, port: [str(peers.python), "-m", "uvicorn", app, "--port", str(port), *options]


def _script(name: str, *words: str) -> Callable[[Peers, int], list[str]]:
    return lambda peers, port: [str(peers.python), str(_SERVERS / name), *words, str(port)]


def _granian(peers: Peers, port: int) -> list[str]:
    options = ["--interface", "asgi", "--log-level", "warning", "--working-dir", str(_SERVERS)]
    return [str(peers.python), "-m", "granian", *options, "--port", str(port), "bare_app:app"]


def _node(peers: Peers, port: int) -> list[str]:
    return [peers.node, str(peers.node_folder / "serve_ws.js"), str(port)]


def _bun(peers: Peers, port: int) -> list[str]:
    return [str(peers.bun), str(peers.node_folder / "serve_bun.js"), str(port)]


CONTENDERS = (
    Contender(
        "falconws",
        "falconws",
        ("falconws", "uvicorn", "picows"),
        _script("serve_falconws.py", "falconws_app:app"),
        ours=True,
    ),
    Contender("falcon", "Falcon on uvicorn", ("falcon", "uvicorn"), _uvicorn("falcon_app:app")),
    Contender("starlette", "Starlette on uvicorn", ("starlette", "uvicorn"), _uvicorn("starlette_app:app")),
    Contender("litestar", "Litestar on uvicorn", ("litestar", "uvicorn"), _uvicorn("litestar_app:app")),
    Contender("bare", "bare ASGI on uvicorn", ("uvicorn",), _uvicorn("bare_app:app")),
    Contender(
        "falconws-uvicorn",
        "falconws on uvicorn's engine",
        ("falconws", "uvicorn"),
        _uvicorn("falconws_app:app"),
        ours=True,
    ),
    Contender(
        "bare-engine",
        "bare ASGI on falconws' engine",
        ("falconws", "uvicorn", "picows"),
        _script("serve_falconws.py", "bare_app:app"),
        ours=True,
    ),
    Contender("granian", "bare ASGI on granian", ("granian",), _granian),
    Contender("picows", "picows' async API", ("picows",), _script("serve_picows.py")),
    Contender("socketify", "socketify", ("socketify",), _script("serve_socketify.py")),
    Contender("node", "Node ws", ("ws", "node"), _node),
    Contender("bun", "Bun", ("bun",), _bun),
)
