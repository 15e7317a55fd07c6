"""Changes of lines in any text file, found again by the lines around them, as `patch` does. Pure.

A hunk has the lines before, those that go, those that come, and the lines after. Where the surroundings were edited,
fewer of them have to fit; where that leaves no place, or several, nothing is changed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from falconws_cli.source.python import CannotEditError, Import
from falconws_cli.source.register.kind import RegistrationKind
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult

_CONTEXT = 3
_FITS = sorted(
    ((above, below) for above in range(_CONTEXT + 1) for below in range(_CONTEXT + 1)),
    key=lambda fit: (-sum(fit), -min(fit)),
)
"""How many lines above and below a hunk have to fit, the strictest first."""


@dataclass(frozen=True)
class Hunk:
    """One change, in lines without their ends."""

    before: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    after: tuple[str, ...]

    def reversed(self) -> "Hunk":
        """Return the hunk that reverts this one."""
        return Hunk(self.before, self.new, self.old, self.after)


def hunks_between(old: str, new: str) -> list[dict[str, list[str]]]:
    """Return the hunks that lead from one text to another, as data for `LinesKind`."""
    import difflib

    one, other = old.splitlines(), new.splitlines()
    found = []
    for kind, i, j, k, m in difflib.SequenceMatcher(a=one, b=other, autojunk=False).get_opcodes():
        if kind != "equal":
            hunk = Hunk(
                tuple(one[max(0, i - _CONTEXT) : i]), tuple(one[i:j]), tuple(other[k:m]), tuple(one[j : j + _CONTEXT])
            )
            found.append({name: list(lines) for name, lines in asdict(hunk).items()})
    return found


@dataclass
class LinesKind(RegistrationKind):
    """Lines of a file that may be no module: all hunks are applied, or none, and so are they reverted."""

    what: str
    hunks: Sequence[Mapping[str, Any]]
    """What `hunks_between` returned."""

    def _parsed(self) -> list[Hunk]:
        names = ("before", "old", "new", "after")
        return [Hunk(*(tuple(map(str, hunk[name])) for name in names)) for hunk in self.hunks]

    def _lines(self) -> tuple[str, ...]:
        return tuple(line for hunk in self._parsed() for line in hunk.new)

    def _register(self, text: str, package: str) -> RegisterResult:
        if _changed(text, [hunk.reversed() for hunk in self._parsed()]) is not None:
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, self._lines())
        changed = _changed(text, self._parsed())
        if changed is None:
            raise CannotEditError("the lines around it were not found, or occur several times")
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, changed, self._lines())

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        changed = _changed(text, [hunk.reversed() for hunk in self._parsed()])
        if changed is not None:
            return UnregisterResult(self.what, UnregisterOutcome.REMOVED, changed)
        there = tuple(line for line in self._lines() if line.strip() and line in text.splitlines())
        if not there:
            return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)
        return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, there, "it was edited")


def _changed(text: str, hunks: Sequence[Hunk]) -> str | None:
    """Return *text* with all hunks applied; None if one has no place."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    done = 0
    for hunk in hunks:
        bare = [line.rstrip("\r\n") for line in lines]
        place = _place(bare, hunk, done)
        if place is None:
            return None
        new = [f"{line}{end}" for line in hunk.new]
        if place == len(lines) and lines and not lines[-1].endswith("\n"):
            lines[-1] += end
        lines[place : place + len(hunk.old)] = new
        # A hunk comes after the one before it.
        done = place + len(new)
    return "".join(lines)


def _place(lines: Sequence[str], hunk: Hunk, start: int) -> int | None:
    """Return the number of the line where the hunk belongs, from *start* on; None if that is not certain."""
    for above, below in _FITS:
        before, after = hunk.before[len(hunk.before) - above :], hunk.after[:below]
        if len(before) < min(above, len(hunk.before)) or not any(
            any(character.isalnum() for character in line) for line in (*before, *hunk.old, *after)
        ):
            continue
        pattern = (*before, *hunk.old, *after)
        found = [
            place + len(before)
            for place in range(max(0, start - len(before)), len(lines) - len(pattern) + 1)
            if tuple(lines[place : place + len(pattern)]) == pattern and place + len(before) >= start
        ]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            return None
    # Lines that were added at the end of a file have their place there, whatever is before them.
    return len(lines) if not hunk.old and not hunk.after else None
