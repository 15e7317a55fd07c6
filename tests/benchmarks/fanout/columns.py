"""Column charts as SVG, for values that grow from left to right. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tests.benchmarks.plots import shown

_WIDTH = 760
_MARGIN = 16
_TOP, _FLOOR, _HEIGHT = 74, 214, 240
_COLUMN = 56
_FILL, _INK, _FAINT = "#0b7285", "#212529", "#495057"


@dataclass(frozen=True)
class Panel:
    """One metric: the values of the rounds for each column."""

    title: str
    columns: Sequence[tuple[str, Sequence[float]]]


def column_chart(title: str, panels: Sequence[Panel]) -> str:
    """Return the panels side by side. Columns are medians and start at zero; a line spans the values of all rounds."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="24" font-size="16" font-weight="600" fill="{_INK}">{escape(title)}</text>',
        f'<text x="{_WIDTH - _MARGIN}" y="24" text-anchor="end" fill="{_FAINT}">'
        "medians; the line spans the rounds</text>",
    ]
    width = (_WIDTH - 2 * _MARGIN) / len(panels)
    for index, panel in enumerate(panels):
        parts += _panel(panel, _MARGIN + index * width, width)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: float, width: float) -> list[str]:
    highest = max((max(values) for _, values in panel.columns), default=1.0) or 1.0
    step = width / max(len(panel.columns), 1)
    parts = [
        f'<text x="{left:.1f}" y="44" fill="{_FAINT}">{escape(panel.title)}</text>',
        f'<line x1="{left:.1f}" x2="{left + width - _MARGIN:.1f}" y1="{_FLOOR}" y2="{_FLOOR}" stroke="{_FAINT}"/>',
    ]

    def height(value: float) -> float:
        return _FLOOR - value / highest * (_FLOOR - _TOP)

    for index, (label, values) in enumerate(panel.columns):
        middle = left + (index + 0.5) * step - _MARGIN / 2
        median = statistics.median(values)
        parts += [
            f'<rect x="{middle - _COLUMN / 2:.1f}" y="{height(median):.1f}" width="{_COLUMN}" '
            f'height="{_FLOOR - height(median):.1f}" rx="2" fill="{_FILL}"/>',
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{height(min(values)):.1f}" '
            f'y2="{height(max(values)):.1f}" stroke="{_INK}" stroke-width="1.5"/>',
            f'<text x="{middle:.1f}" y="{height(max(values)) - 6:.1f}" text-anchor="middle" font-weight="600" '
            f'fill="{_INK}">{shown(median)}</text>',
            f'<text x="{middle:.1f}" y="{_FLOOR + 17}" text-anchor="middle" fill="{_INK}">{escape(label)}</text>',
        ]
    return parts
