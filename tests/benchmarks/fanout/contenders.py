"""The contenders: a table of what each of them runs. This module starts nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import Peers

_SERVERS = Path(__file__).parent / "servers"
Command = Callable[[Peers, int], list[str]]
"""Returns the command line that serves on 127.0.0.1 at a port."""


@dataclass(frozen=True)
class Contender:
    """One server that broadcasts the messages of /pub to all connections on /sub."""

    key: str
    title: str
    target: float | None
    """The most CPU time of falconws, relative to this contender."""
    command: Command


def falconws_over(url: str, workers: int = 1) -> Command:
    """Return the command of falconws with a hub on the broker at *url*."""

    def command(peers: Peers, port: int) -> list[str]:
        options = f"app_dir={str(_SERVERS)!r}, port={port}, workers={workers}, log_level='critical', access_log=False"
        code = f"from falconws.server import run; run('hub_app:app', {options})"
        return ["env", f"FANOUT_HUB_URL={url}", str(peers.python), "-c", code]

    return command


def _uvicorn(app: str) -> Command:
    options = ["--log-level", "critical", "--app-dir", str(_SERVERS)]
    return lambda peers, port: [str(peers.python), "-m", "uvicorn", app, "--port", str(port), *options]


def _node(peers: Peers, port: int) -> list[str]:
    target = peers.node_folder / "serve_fanout.js"
    target.write_text((_SERVERS / "serve_ws.js").read_text())
    return [peers.node, str(target), str(port)]


def _bun(peers: Peers, port: int) -> list[str]:
    return [str(peers.bun), str(_SERVERS / "serve_bun.js"), str(port)]


OWN = Contender("falconws", "falconws.Hub", None, falconws_over("memory://"))
CONTENDERS = (
    OWN,
    Contender("litestar", "Litestar ChannelsPlugin", 1 / 4, _uvicorn("litestar_app:app")),
    Contender("falcon", "Falcon, a loop of send_text()", 1 / 2, _uvicorn("falcon_app:app")),
    Contender("node", "Node ws, a loop of send()", 2 / 3, _node),
    Contender("bun", "Bun, native publish()", None, _bun),
)
