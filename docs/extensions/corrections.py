"""Two corrections: napoleon reads the first words of an attribute as its type, and RST reads "*.py" as emphasis."""

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


def escape_asterisks(app: Sphinx, ctx: object, lines: list[str]) -> None:
    """Called with the lines of a command's options: help texts are plain text."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the callbacks."""
    docstrings = AttributeDocstrings()
    app.connect("autodoc-process-docstring", docstrings.keep, priority=_NAPOLEON - 1)
    app.connect("autodoc-process-docstring", docstrings.restore, priority=_NAPOLEON + 1)
    app.connect("sphinx-click-process-options", escape_asterisks)
    return {"parallel_read_safe": True}
