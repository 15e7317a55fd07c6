from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from falconws import HistoryLimits, Position
from falconws.hub.broker import Publication
from falconws.hub.brokers.memory import Log

LIMITS = HistoryLimits(messages=4, age_s=10)
BEGIN = 7


class LogAgainstAList(RuleBasedStateMachine):
    """The log, and beside it simply a list of everything that was ever published, with its time."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(BEGIN)
        self.published: list[tuple[float, Publication]] = []
        self.now = 0.0

    @property
    def top(self) -> int:
        return BEGIN + len(self.published)

    @rule(count=st.integers(1, 6))
    def publish(self, count: int) -> None:
        for _ in range(count):
            publication = Publication("room", str(self.top + 1), Position("e", self.top + 1), self.top)
            self.published.append((self.now, publication))
            self.log.append(publication, self.now, LIMITS)

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        assert self.log.expire(self.now, LIMITS) == (not self.kept())

    def kept(self) -> list[Publication]:
        newest = self.published[-LIMITS.messages :]
        return [publication for published, publication in newest if published > self.now - LIMITS.age_s]

    @invariant()
    def every_position_gets_what_it_has_missed_or_is_told_of_a_gap(self) -> None:
        assert self.log.offset == self.top
        kept = self.kept()
        for since in range(BEGIN - 2, self.top + 3):
            publications, complete = self.log.after(since)
            missed = [publication for _, publication in self.published if publication.position.offset > since]
            if since < BEGIN or since > self.top:
                assert not complete
                assert publications == kept
            elif complete:
                assert publications == missed
            else:
                assert publications == [publication for publication in missed if publication in kept] != missed


TestLog = LogAgainstAList.TestCase
TestLog.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_without_a_history_nothing_is_kept() -> None:
    log = Log(0)
    log.append(Publication("room", "", Position("e", 1), 0), 0.0, HistoryLimits(messages=0))
    assert log.after(1) == ([], True)
    assert log.after(0) == ([], False)
