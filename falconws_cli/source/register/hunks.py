"""Changes of lines in any text file, found again by the lines around them, as `patch` does. Pure.

A hunk has the lines before, those that go, those that come, and the lines after. Where the surroundings were edited,
fewer of them have to fit; where that leaves no place, or several, nothing is changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from falconws_cli.source.python import Import
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
    """Return the hunks that lead from one text to another, as data for `apply_hunks`."""
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


def apply_hunks(text: str, package: str, *, what: str, hunks: Iterable[Mapping[str, Any]]) -> RegisterResult:
    """Apply all hunks to *text*, or none.

    Args:
        text: The text of the file.
        package: Not used: the file may be no module.
        what: The name of the change in reports.
        hunks: What `hunks_between` returned.
    """
    wanted = _parsed(hunks)
    lines = tuple(line for hunk in wanted for line in hunk.new)
    if _changed(text, [hunk.reversed() for hunk in wanted]) is not None:
        return RegisterResult(what, RegisterOutcome.ALREADY, text, lines)
    changed = _changed(text, wanted)
    if changed is None:
        reason = "the lines around it are not there, or several times"
        return RegisterResult(what, RegisterOutcome.CANNOT, text, lines, reason)
    return RegisterResult(what, RegisterOutcome.REGISTERED, changed, lines)


def revert_hunks(
    text: str, package: str, *, what: str, hunks: Iterable[Mapping[str, Any]], added: Collection[Import] | None = None
) -> UnregisterResult:
    """Revert all hunks that `apply_hunks` has applied, or none; see there."""
    wanted = _parsed(hunks)
    changed = _changed(text, [hunk.reversed() for hunk in wanted])
    if changed is not None:
        return UnregisterResult(what, UnregisterOutcome.REMOVED, changed)
    there = tuple(line for hunk in wanted for line in hunk.new if line.strip() and line in text.splitlines())
    if not there:
        return UnregisterResult(what, UnregisterOutcome.ABSENT, text)
    return UnregisterResult(what, UnregisterOutcome.CANNOT, text, there, "it was edited")


def _parsed(hunks: Iterable[Mapping[str, Any]]) -> list[Hunk]:
    names = ("before", "old", "new", "after")
    return [Hunk(*(tuple(map(str, hunk[name])) for name in names)) for hunk in hunks]


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
