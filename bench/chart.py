"""The chart: how many times as much time and CPU others take for the same completions."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.results import Row

GROUP = "peers"
_WIDTH, _LABEL, _BAR, _STEP = 720, 260, 16, 24
_CHATLAKE, _WALL, _CPU = "#e45756", "#4c78a8", "#72b7b2"


def svg(rows: Sequence[Row]) -> str:
    """Return the chart of the rows against peers; a bar of its own for chatlake, of length 1."""
    bars = [("chatlake", 1.0)]
    bars += [(row.what, row.ratio) for row in rows if row.group == GROUP]
    longest = max(length for _, length in bars)
    height = _STEP * (len(bars) + 1)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (what, length) in enumerate(bars):
        y = _STEP * number + _STEP // 2
        width = (_WIDTH - _LABEL - 70) * length / longest
        colour = _CHATLAKE if not number else _CPU if what.startswith("CPU") else _WALL
        lines += [
            f'<text x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(what)}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LABEL + width + 6:.1f}" y="{y + 13}">{length:.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
