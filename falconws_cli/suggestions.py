"""What somebody may have meant who typed a name that is not there. Pure."""

from collections.abc import Iterable


def did_you_mean(typed: str, candidates: Iterable[str]) -> str:
    """Return ` Did you mean "...", "..." or "..."?` with up to three of *candidates*, or "" when none comes near.

    Upper and lower case count as the same letter.
    """
    # Only failing commands pay for it.
    from difflib import get_close_matches

    spellings = {candidate.lower(): candidate for candidate in candidates}
    close = [f'"{spellings[match]}"' for match in get_close_matches(typed.lower(), spellings)]
    if not close:
        return ""
    *others, last = close
    listed = f"{', '.join(others)} or {last}" if others else last
    return f" Did you mean {listed}?"
