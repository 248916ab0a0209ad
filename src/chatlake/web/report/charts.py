"""Charts as numbers: the place of each bar in a drawing of 1000 by 100, which the page stretches.

Words are not part of the drawing. They are text beside it, so they keep their size on a phone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from math import ceil, floor, log2, log10
from typing import Final

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
SERIES: Final = 6
"""Groups with their own colour; the others share one."""
OTHERS: Final = "all others"
_MOST_BARS: Final = 92
_GAP: Final = 0.18  # of a bar's width


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of series `series` (from 0), and what it shows, in words."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Stacked bars by time.

    `names`: of the series, by number; a series without bars has none. `scale`: from the top.
    `times`: from the left.
    """

    names: tuple[tuple[int, str], ...]
    bars: tuple[Bar, ...]
    scale: tuple[str, ...]
    times: tuple[str, ...]
    unit: str


Amounts = Iterable[tuple[date, str, float]]
Shown = Callable[[float], str]


def ranked(amounts: Amounts) -> list[str]:
    """Return the groups that get their own series, the largest first; the last may be "others".

    Charts that share the list share their colours.
    """
    totals: dict[str, float] = defaultdict(float)
    for _, group, amount in amounts:
        totals[group] += amount
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return names if len(names) <= SERIES + 1 else [*names[:SERIES], OTHERS]


def stacked(
    amounts: Amounts, names: Sequence[str], first: date, last: date, shown: Shown
) -> Chart | None:
    """Return bars from `first` to `last`, a day each, or a week, or a month; None if all are 0.

    `amounts`: (day, group, amount); those outside are left out. `names`: the series, see `ranked`.
    `shown` writes an amount.
    """
    starts, unit = _buckets(first, last)
    cells: dict[tuple[date, str], float] = defaultdict(float)
    for day, group, amount in amounts:
        if first <= day <= last and amount > 0:
            cells[_start(day, unit), group if group in names else OTHERS] += amount
    return _drawn(cells, names, starts, unit, shown) if cells else None


def cumulated(
    amounts: Iterable[tuple[date, int]], last: date, shown: Shown, name: str, *, of: int = 10
) -> Chart | None:
    """Return cumulative bars: for each day, week or month, the total at its end.

    `of`: what the scale counts in, 10, or 2 for bytes.
    """
    known = sorted((day, amount) for day, amount in amounts if day <= last and amount > 0)
    if not known:
        return None
    starts, unit = _buckets(known[0][0], last)
    came: dict[date, int] = defaultdict(int)
    for day, amount in known:
        came[_start(day, unit)] += amount
    sums = accumulate(came[start] for start in starts)
    cells = {(start, name): float(total) for start, total in zip(starts, sums, strict=True)}
    return _drawn(cells, [name], starts, unit, shown, of=of)


def _drawn(
    cells: Mapping[tuple[date, str], float],
    names: Sequence[str],
    starts: Sequence[date],
    unit: str,
    shown: Shown,
    *,
    of: int = 10,
) -> Chart:
    most = max(sum(cells.get((start, name), 0.0) for name in names) for start in starts)
    top = 2.0 ** ceil(log2(most)) if of == 2 else _nice(most)
    step = WIDTH / len(starts)
    width = round(step * (1 - _GAP), 2)
    bars: list[Bar] = []
    for number, start in enumerate(starts):
        x, base = number * step + step * _GAP / 2, HEIGHT
        for series, name in enumerate(names):
            amount = cells.get((start, name), 0.0)
            if amount:
                height = HEIGHT * amount / top
                base -= height
                title = f"{_label(start, unit)}, {name}: {shown(amount)}"
                bars.append(
                    Bar(round(x, 2), round(base, 2), width, round(height, 2), series, title)
                )
    ends = [starts[0], starts[len(starts) // 2], starts[-1]] if len(starts) > 2 else starts
    used = {bar.series for bar in bars}
    return Chart(
        tuple((series, name) for series, name in enumerate(names) if series in used),
        tuple(bars),
        (shown(top), shown(top / 2), shown(0)),
        tuple(_label(start, unit) for start in ends),
        unit,
    )


def _buckets(first: date, last: date) -> tuple[list[date], str]:
    days = (last - first).days + 1
    unit = "day" if days <= _MOST_BARS else "week" if days <= 7 * _MOST_BARS else "month"
    starts, day = [], _start(first, unit)
    while day <= last:
        starts.append(day)
        day = _start(day + timedelta(days={"day": 1, "week": 7, "month": 32}[unit]), unit)
    return starts, unit


def _start(day: date, unit: str) -> date:
    if unit == "day":
        return day
    return day.replace(day=1) if unit == "month" else day - timedelta(days=day.weekday())


def _label(start: date, unit: str) -> str:
    if unit == "month":
        return f"{start:%b %Y}"
    text = f"{start.day} {start:%b %Y}"
    return text if unit == "day" else f"week of {text}"


def _nice(most: float) -> float:
    """Return the next of 1, 2, 4, 5, 10 times a power of ten: a scale that halves well."""
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= most * (1 - 1e-9))


def short(amount: float) -> str:
    """Return a count in about five characters: 12,300 as `12.3k`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= size:
            return f"{amount / size:.3g}{unit}"
    return f"{amount:.0f}" if amount == ceil(amount) else f"{amount:.2g}"
