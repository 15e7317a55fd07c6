"""Prevent napoleon from reading the first words of an attribute's docstring, up to a colon, as its type."""

from sphinx.application import Sphinx

_NAPOLEON = 500
"""The priority of napoleon."""


class AttributeDocstrings:
    """Keeps each docstring as it was before napoleon, and restores those of attributes."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def keep(self, app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        self._lines = list(lines)

    def restore(self, app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        if what in ("attribute", "data", "property"):
            lines[:] = self._lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the callbacks."""
    docstrings = AttributeDocstrings()
    app.connect("autodoc-process-docstring", docstrings.keep, priority=_NAPOLEON - 1)
    app.connect("autodoc-process-docstring", docstrings.restore, priority=_NAPOLEON + 1)
    return {"parallel_read_safe": True}
