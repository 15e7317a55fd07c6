"""Sets of requirements: what several need, what two share, what one needs alone. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

from falconws_cli.change.plan import Requirements


def union(parts: Iterable[Requirements]) -> Requirements:
    """Return what any of *parts* has, each once."""
    return _combined(list(parts), lambda _, lists: dict.fromkeys(value for values in lists for value in values))


def common(one: Requirements, other: Requirements) -> Requirements:
    """Return what both have."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value in lists[1]])


def without(one: Requirements, other: Requirements) -> Requirements:
    """Return what only *one* has."""
    return _combined([one, other], lambda _, lists: [value for value in lists[0] if value not in lists[1]])


def pyproject_lists(requirements: Requirements) -> dict[str, tuple[str, ...]]:
    """Return the arguments that dependencies.py takes: everything but the modules, which are no part of the file."""
    return {name: values for name, values in vars(requirements).items() if name != "modules"}


def _combined(
    parts: Sequence[Requirements], choose: Callable[[str, Sequence[tuple[str, ...]]], Iterable[str]]
) -> Requirements:
    names = [known.name for known in fields(Requirements)]
    return Requirements(**{name: tuple(choose(name, [getattr(part, name) for part in parts])) for name in names})
