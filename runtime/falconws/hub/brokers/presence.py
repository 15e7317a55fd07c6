"""What Redis and NATS share for presence: the change of a member that is told, and how long leases and claims last.

Knows no server.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from falconws.hub.broker import Sink

__all__ = ("CLAIM_S", "FIRST_LEASE_S", "OWN_CLAIM_S", "MemberEvent")

FIRST_LEASE_S = 10.0
"""The lease of a process that joins before its first renewal."""
CLAIM_S = 30.0
"""How long one process may take to remove the devices of a dead one before another takes over."""
OWN_CLAIM_S = 3.0
"""The same for a process that removes its own devices."""


class MemberEvent(NamedTuple):
    """A change of a member, as a server delivers it to those who follow the room."""

    kind: Literal["joined", "updated", "left"]
    member: str
    info: bytes
    devices: int

    def tell(self, sink: Sink, room: str) -> None:
        """Call the method of *sink* for this change."""
        if self.kind == "left":
            sink.left(room, self.member)
        elif self.kind == "joined":
            sink.joined(room, self.member, self.info, self.devices)
        else:
            sink.updated(room, self.member, self.info, self.devices)
