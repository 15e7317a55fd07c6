"""A NATS cluster of real servers, on loopback and free ports, whose nodes can be killed and started again."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from tests.e2e.hub.servers import WAIT_S, Nats
from tests.ports import free_port


class NatsCluster:
    """Three nats-servers with one JetStream between them."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[Nats] = []
        ports = [free_port() for _ in range(3)]
        routes = [f"nats-route://127.0.0.1:{port}" for port in ports]
        try:
            for number, port in enumerate(ports):
                cluster = {"name": "tests", "listen": f"127.0.0.1:{port}", "routes": routes}
                settings = {"server_name": f"node{number}", "cluster": cluster, "http": f"127.0.0.1:{free_port()}"}
                self.nodes.append(Nats(folder / f"node{number}", settings=settings))
            self.leader()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes) + "?replicas=3"

    def leader(self, stream: str | None = None) -> Nats:
        """Return the node that leads *stream*, or all of JetStream, once one does and those that run follow."""
        deadline = time.monotonic() + WAIT_S
        answer: dict[str, Any] = {}
        while time.monotonic() < deadline:
            running = {f"node{number}": node for number, node in enumerate(self.nodes) if node.is_running}
            for node in running.values():
                # A question that nobody answers, because nobody leads yet, has to be asked again.
                with contextlib.suppress(OSError):
                    subject = f"$JS.API.STREAM.INFO.{stream}" if stream else "$JS.API.STREAM.NAMES"
                    answer = node.ask(subject, wait_s=1)
                    if "error" in answer:
                        continue
                    if not stream:
                        return node
                    group = answer["cluster"]
                    lagging = [peer for peer in group["replicas"] if peer["name"] in running and not peer["current"]]
                    if group.get("leader") in running and not lagging:
                        return running[group["leader"]]
            time.sleep(0.05)
        raise AssertionError(f"nobody leads within {WAIT_S:g} s: {answer}")

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
