"""Leases against a plain list of who has which device until when."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from falconws.hub.brokers.memory import Leases

MEMBERS, DEVICES = st.sampled_from("abc"), st.sampled_from("123")


class LeasesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases()
        self.until: dict[tuple[str, str], float] = {}
        self.now = 0.0

    def has(self, member: str) -> bool:
        return any(name == member for name, _ in self.until)

    @rule(member=MEMBERS, device=DEVICES, seconds=st.integers(1, 10))
    def join(self, member: str, device: str, seconds: int) -> None:
        new = not self.has(member)
        assert self.leases.join(member, device, member.encode(), self.now + seconds) == new
        self.until[member, device] = self.now + seconds

    @rule(member=MEMBERS, device=DEVICES, seconds=st.integers(1, 10))
    def renew(self, member: str, device: str, seconds: int) -> None:
        known = (member, device) in self.until
        assert self.leases.renew(member, device, self.now + seconds) == known
        if known:
            self.until[member, device] = self.now + seconds

    @rule(member=MEMBERS, device=DEVICES)
    def leave(self, member: str, device: str) -> None:
        known = self.until.pop((member, device), None) is not None
        assert self.leases.leave(member, device) == (known and not self.has(member))

    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        before = {member for member, _ in self.until}
        self.until = {entry: deadline for entry, deadline in self.until.items() if deadline > self.now}
        assert sorted(self.leases.expire(self.now)) == sorted(before - {member for member, _ in self.until})

    @invariant()
    def the_same_are_present(self) -> None:
        present = {member: member.encode() for (member, _), deadline in self.until.items() if deadline > self.now}
        assert self.leases.members(self.now) == present
        assert bool(self.leases) == bool(self.until)


TestLeases = LeasesMachine.TestCase
