"""Who is present in one room, by lease. Pure: the time is an argument."""

from __future__ import annotations

import math

__all__ = ("Leases",)


class _Member:
    __slots__ = ("devices", "info")

    def __init__(self, info: bytes) -> None:
        self.info = info
        self.devices: dict[str, float] = {}


class Leases:
    """The members of one room, their devices, and until when each device counts. False when there are none."""

    __slots__ = ("_members", "_none_before")

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._none_before = math.inf
        """Until then no lease runs out. Everybody who comes or asks looks for those that have."""

    def __bool__(self) -> bool:
        return bool(self._members)

    def join(self, member: str, device: str, info: bytes, deadline: float) -> bool:
        """Add a device, or renew it; return whether *member* is new. *info* replaces that of earlier devices."""
        present = self._members.get(member)
        new = present is None
        if present is None:
            present = self._members[member] = _Member(info)
        present.info = info
        present.devices[device] = deadline
        self._none_before = min(self._none_before, deadline)
        return new

    def renew(self, member: str, device: str, deadline: float) -> bool:
        """Prolong a lease; return whether the device is there. One that nobody has removed yet is."""
        present = self._members.get(member)
        if present is None or device not in present.devices:
            return False
        present.devices[device] = deadline
        self._none_before = min(self._none_before, deadline)
        return True

    def leave(self, member: str, device: str) -> bool:
        """Remove a device; return whether it was the member's last."""
        present = self._members.get(member)
        if present is None or present.devices.pop(device, None) is None or present.devices:
            return False
        del self._members[member]
        return True

    def members(self, now: float) -> dict[str, bytes]:
        """Return the members with a device whose lease runs at *now*, each with its info."""
        if now < self._none_before:
            return {member: present.info for member, present in self._members.items()}
        return {
            member: present.info
            for member, present in self._members.items()
            if any(deadline > now for deadline in present.devices.values())
        }

    def expire(self, now: float) -> list[str]:
        """Remove the devices whose lease has run out at *now*; return the members who are gone by that."""
        if now < self._none_before:
            return []
        gone = []
        self._none_before = math.inf
        for member, present in list(self._members.items()):
            for device in [device for device, deadline in present.devices.items() if deadline <= now]:
                del present.devices[device]
            if not present.devices:
                del self._members[member]
                gone.append(member)
            else:
                self._none_before = min(self._none_before, *present.devices.values())
        return gone
