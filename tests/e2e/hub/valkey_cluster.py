"""A cluster of Valkey that changes: nodes are added, slots move, replicas take over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.e2e.hub.servers import WAIT_S, Valkey, ValkeyCluster
from tests.ports import free_port

__all__ = ("DEBUGGING", "ChangingCluster")

DEBUGGING = ("--enable-debug-command", "yes")


class ChangingCluster(ValkeyCluster):
    """Begins with three nodes that have a third of the slots each."""

    def add(self, *, replica_of: Valkey | None = None) -> Valkey:
        """Start another node, as a replica or without slots, and return it when all others know it."""
        first = self.nodes[0]
        options = (*first.options[:4], "--cluster-port", str(free_port()), *first.options[6:])
        node = Valkey(first.folder.with_name(f"node{len(self.nodes)}"), options=options)
        self.nodes.append(node)
        node.say("CLUSTER", "MEET", "127.0.0.1", str(first.port), first.options[5])
        known = f"cluster_known_nodes:{len(self.nodes)}"
        self._until(lambda: all(known in node.say("CLUSTER", "INFO") for node in self.nodes), "the node is known")
        if replica_of is not None:
            name = self.name(replica_of)
            # It waits five seconds for others that may want to replicate too.
            self._expect_ok(replica_of.say("CONFIG", "SET", "repl-diskless-sync-delay", "0"))
            self._until(lambda: node.say("CLUSTER", "REPLICATE", name) == "+OK\r\n", "it may replicate")
            self._until(lambda: "master_link_status:up" in node.say("INFO", "replication"), "it replicates")
            replicas = f"slave {name}"
            self._until(
                lambda: all(replicas in other.say("CLUSTER", "NODES") for other in self.nodes), "all know the replica"
            )
        return node

    def name(self, node: Valkey) -> str:
        return node.say("CLUSTER", "MYID").splitlines()[1]

    def primary(self, key: str, asked: Valkey) -> Valkey:
        """Return the node that has the slot of *key*, as another node sees it."""
        slot = int(asked.say("CLUSTER", "KEYSLOT", key).strip().removeprefix(":"))
        for line in asked.say("CLUSTER", "NODES").splitlines():
            _, _, flags, *_, ranges = [*line.split(" ", 8), "", "", ""][:9]
            if "master" in flags and any(_within(slot, part) for part in ranges.split()):
                port = int(line.split(" ")[1].partition("@")[0].rpartition(":")[2])
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"no node has slot {slot}")

    def give(self, key: str, target: Valkey) -> None:
        """Give the slot of *key*, with all that is in it, to *target*."""
        source = self.primary(key, self.nodes[0])
        self.begin_move(key, source, target)
        self.move_keys(key, source, target)
        self.end_move(key, source, target)

    def begin_move(self, key: str, source: Valkey, target: Valkey) -> None:
        """Mark the slot of *key* as moving: a node that lacks a key of a command refuses the command."""
        slot = self._slot(key)
        self._expect_ok(target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source)))
        self._expect_ok(source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(target)))

    def move_keys(self, key: str, source: Valkey, target: Valkey) -> None:
        """Move what is in the slot of *key*."""
        if keys := source.say("CLUSTER", "GETKEYSINSLOT", self._slot(key), "100").splitlines()[2::2]:
            self._expect_ok(source.say("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys))

    def end_move(self, key: str, source: Valkey, target: Valkey) -> None:
        """Tell all nodes that the slot of *key* is *target*'s."""
        for node in (target, source, *self.nodes):
            self._expect_ok(node.say("CLUSTER", "SETSLOT", self._slot(key), "NODE", self.name(target)))

    def _slot(self, key: str) -> str:
        return self.nodes[0].say("CLUSTER", "KEYSLOT", key).strip().removeprefix(":")

    def isolate(self, node: Valkey) -> None:
        """Cut *node* off from the other nodes, though not from clients. It has to be started with `DEBUGGING`."""
        for command in ("DROP-CLUSTER-PACKET-FILTER -2", "CLOSE-CLUSTER-LINK-ON-PACKET-DROP 1"):
            self._expect_ok(node.say("DEBUG", *command.split()))
        self._expect_ok(node.say("DEBUG", "DISABLE-CLUSTER-RECONNECTION", "1"))

    def until_primary(self, node: Valkey, key: str, asked: Sequence[Valkey] = ()) -> None:
        """Return when *node*, and others that are *asked*, know that it has the slot of *key*, and serve it."""

        def known(asked: Valkey) -> bool:
            return "cluster_state:ok" in asked.say("CLUSTER", "INFO") and self.primary(key, asked) is node

        self._until(lambda: all(known(other) for other in (node, *asked)), "it has taken over")

    @staticmethod
    def _until(reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}"
            time.sleep(0.02)


def _within(slot: int, part: str) -> bool:
    """Whether *slot* is in a range as `CLUSTER NODES` writes it; "[...]" is a slot on the move."""
    first, _, last = part.partition("-")
    return first.isdecimal() and int(first) <= slot <= int(last or first)
