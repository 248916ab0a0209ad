"""Rows in columns, for people: cut to fit a terminal, complete in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

_ROWS_MEASURED = 1000
_WIDEST = 60
_READABLE = 20  # a time; narrower than this, columns are left out instead
_NARROWEST = 8
_FEW = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """Text on one line; `quiet`: it shows a missing value."""

    text: str
    quiet: bool = False


@dataclass(slots=True)
class Layout:
    """Which columns are shown, and how wide.

    `right`: which columns are aligned right. `width`: of the terminal, None if nothing is cut.
    `ascii_only`: lines are drawn with `-`, `|` and `+` only. `texts`: which columns may hold text
    to read. `shown`, `widths`: what `fit` has chosen.

    A narrow terminal leaves out columns in this order: those without a value, those in the middle,
    texts. With `important` (columns, the most important first) the order is: those without a value,
    those that it does not name, the least important.
    """

    headers: Sequence[str]
    right: Sequence[bool]
    width: int | None = None
    ascii_only: bool = False
    texts: Sequence[bool] = ()
    important: Sequence[int] = ()
    shown: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)

    def fit(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Choose columns and widths by the headers and these rows."""
        self.widths = [
            max([cell_len(header), *(cell_len(row[i].text) for row in rows)])
            for i, header in enumerate(self.headers)
        ]
        self.shown = list(range(len(self.headers)))
        if self.width is None:
            return
        wanted = [min(width, _WIDEST) for width in self.widths]
        self.widths = list(wanted)
        order = self._dispensable(rows)
        while order and self._is_empty(order[0], rows) and self._taken() > self.width:
            self.shown.remove(order.pop(0))
        self._narrow(self.width, _READABLE)
        while order and len(self.shown) > _FEW and self._taken() > self.width:
            self.shown.remove(order.pop(0))
        self._narrow(self.width, _NARROWEST)
        while len(self.shown) > 1 and self._taken() > self.width:
            self.shown.remove(order.pop(0))
        for i in self.shown:
            self.widths[i] += max(0, min(wanted[i] - self.widths[i], self.width - self._taken()))

    def _dispensable(self, rows: Sequence[Sequence[Cell]]) -> list[int]:
        """Return the columns in the order in which they are left out."""
        empty = [i for i in self.shown if self._is_empty(i, rows)]
        if self.important:
            ranked = [*self.important, *(i for i in self.shown if i not in self.important)]
            return empty[::-1] + [i for i in ranked[::-1] if i not in empty]
        texts = [i for i in self.shown if i not in empty and self._is_text(i, rows)]
        others = [i for i in self.shown if i not in empty and i not in texts]
        order = empty[::-1]
        for rest in (others, texts):
            while rest:
                order.append(rest.pop(len(rest) // 2))  # the middle: both ends tell the most
        return order

    def _is_empty(self, index: int, rows: Sequence[Sequence[Cell]]) -> bool:
        return bool(rows) and all(row[index].quiet for row in rows)

    def _is_text(self, index: int, rows: Sequence[Sequence[Cell]]) -> bool:
        return (
            bool(self.texts)
            and self.texts[index]
            and any(
                " " in row[index].text and cell_len(row[index].text) > _READABLE for row in rows
            )
        )

    def _taken(self) -> int:
        gap = 0 if len(self.shown) == len(self.headers) else 4
        return sum(self.widths[i] + 3 for i in self.shown) - 3 + gap

    def _narrow(self, width: int, limit: int) -> None:
        while self._taken() > width:
            widest = max(self.shown, key=lambda i: self.widths[i])
            if self.widths[widest] <= limit:
                return
            self.widths[widest] -= 1


def lines(layout: Layout, rows: Iterable[Sequence[Cell]], dim: str, end: str) -> Iterator[str]:
    """Yield header, rule and rows; `dim` and `end` surround what is quiet.

    Widths come from the first thousand rows, so that any number of them needs little memory.
    """
    waiting = iter(rows)
    first = [row for _, row in zip(range(_ROWS_MEASURED), waiting, strict=False)]
    layout.fit(first)
    bar, cross, rule = (" | ", "-+-", "-") if layout.ascii_only else (" │ ", "─┼─", "─")
    gap = "..." if layout.ascii_only else "…"

    def joined(cells: list[str], separator: str, middle: str) -> str:
        if len(layout.shown) < len(layout.headers):
            cells.insert((len(layout.shown) + 1) // 2, middle)
        return separator.join(cells).rstrip()

    yield joined(
        [_fitted(Cell(layout.headers[i]), i, layout, "", "") for i in layout.shown], bar, gap
    )
    yield joined([rule * layout.widths[i] for i in layout.shown], cross, rule * len(gap))
    for part in (first, waiting):
        for row in part:
            yield joined([_fitted(row[i], i, layout, dim, end) for i in layout.shown], bar, gap)


def _fitted(cell: Cell, index: int, layout: Layout, dim: str, end: str) -> str:
    width, text = layout.widths[index], cell.text
    taken = cell_len(text)
    if taken > width and layout.width is not None:
        text = set_cell_size(text, width - 1) + ("~" if layout.ascii_only else "…")
        taken = width
    padding = " " * (width - taken)
    text = f"{dim}{text}{end}" if cell.quiet else text
    return padding + text if layout.right[index] else text + padding
