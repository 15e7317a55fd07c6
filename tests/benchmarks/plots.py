"""Bar charts as SVG. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 760
_LABEL_WIDTH = 250
_VALUE_WIDTH = 90
_BAR = 16
_GAP = 6
_HEAD = 54
_OURS, _THEIRS, _INK, _FAINT = "#0b7285", "#adb5bd", "#212529", "#495057"


@dataclass(frozen=True)
class Bar:
    """One contender and the values of its rounds."""

    label: str
    values: Sequence[float]
    ours: bool


def bar_chart(title: str, subtitle: str, bars: Sequence[Bar]) -> str:
    """Return horizontal bars of the medians, the shortest first. A line spans the values of all rounds."""
    ordered = sorted(bars, key=lambda bar: statistics.median(bar.values))
    # An outlier must not shorten all bars, so its line is cut off at the edge.
    longest = max((statistics.median(bar.values) for bar in ordered), default=1.0) * 1.15 or 1.0
    plot_width = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    height = _HEAD + len(ordered) * (_BAR + _GAP) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600" fill="{_INK}">{escape(title)}</text>',
        f'<text x="16" y="42" fill="{_FAINT}">{escape(subtitle)}</text>',
    ]
    for index, bar in enumerate(ordered):
        y = _HEAD + index * (_BAR + _GAP)
        middle = y + _BAR / 2
        median = statistics.median(bar.values)
        end = _LABEL_WIDTH + median / longest * plot_width
        low = _LABEL_WIDTH + min(bar.values) / longest * plot_width
        high = min(_LABEL_WIDTH + max(bar.values) / longest * plot_width, _LABEL_WIDTH + plot_width)
        weight = ' font-weight="600"' if bar.ours else ""
        parts += [
            f'<text x="{_LABEL_WIDTH - 10}" y="{middle + 4.5:.1f}" text-anchor="end" fill="{_INK}"{weight}>'
            f"{escape(bar.label)}</text>",
            f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{end - _LABEL_WIDTH:.1f}" height="{_BAR}" rx="2" '
            f'fill="{_OURS if bar.ours else _THEIRS}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{_INK}" stroke-width="1.5"/>',
            f'<text x="{max(end, high) + 8:.1f}" y="{middle + 4.5:.1f}" fill="{_INK}"{weight}>{shown(median)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def shown(value: float) -> str:
    """Return a value with three significant digits."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
