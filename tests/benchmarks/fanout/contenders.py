"""The contenders: a table of what each of them runs. This module starts no server."""

import subprocess
from collections.abc import Callable, Mapping
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
    targets: Mapping[int, float]
    """The most CPU time of falconws, relative to this contender, by publications in flight."""
    command: Command
    user_target: float | None = None
    """The most CPU time of falconws in user mode, relative to this contender."""
    deflates: bool = False
    """Whether it compresses messages if the environment variable FANOUT_DEFLATE is set."""

    def compressing(self, peers: Peers, port: int) -> list[str]:
        """Return the command line that serves with compression."""
        return ["env", "FANOUT_DEFLATE=1", *self.command(peers, port)]


def falconws_over(url: str, workers: int = 1) -> Command:
    """Return the command of falconws with a hub on the broker at *url*."""

    def command(peers: Peers, port: int) -> list[str]:
        options = f"app_dir={str(_SERVERS)!r}, port={port}, workers={workers}, log_level='critical', access_log=False"
        code = (
            "import os; from falconws.server import ConnectionSettings, DeflateSettings, run; "
            "deflate = DeflateSettings() if 'FANOUT_DEFLATE' in os.environ else None; "
            # The load answers no ping until all subscribers are connected, which takes a busy machine a minute.
            "connection = ConnectionSettings(deflate=deflate, ping_interval_s=None); "
            f"run('hub_app:app', connection=connection, {options})"
        )
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


def _floor(peers: Peers, port: int) -> list[str]:
    program = peers.node_folder / "floor"
    subprocess.run(["cc", "-O2", "-o", str(program), str(_SERVERS / "floor.c")], check=True, timeout=60)
    return [str(program), str(port)]


def _always(target: float) -> Mapping[int, float]:
    return {1: target, 16: target}


OWN = Contender("falconws", "falconws.Hub", {}, falconws_over("memory://"), deflates=True)
CONTENDERS = (
    OWN,
    Contender("litestar", "Litestar ChannelsPlugin", _always(1 / 4), _uvicorn("litestar_app:app"), user_target=0.12),
    Contender("falcon", "Falcon, a loop of send_text()", _always(1 / 2), _uvicorn("falcon_app:app")),
    Contender("node", "Node ws, a loop of send()", _always(2 / 3), _node, deflates=True),
    Contender("bun", "Bun, native publish()", {1: 1.0, 16: 1.5}, _bun, deflates=True),
    Contender("floor", "C, one send() for each delivery", {}, _floor),
)
