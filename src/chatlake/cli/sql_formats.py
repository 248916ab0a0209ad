"""Writers of a result, row by row: a result may be of any size, while memory stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TextIO

from chatlake.cli.output import note, printable, shows_colours
from chatlake.cli.sql_values import as_json, as_text
from chatlake.cli.table import Cell, Layout, lines
from chatlake.model.counts import count

_NUMBERS: Final = ("INT", "DECIMAL", "FLOAT", "DOUBLE", "REAL", "HUGE", "BIGNUM", "VARINT")

# Spreadsheets read these as the start of a formula; the wide ones too, in some languages.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Result:
    """A result that is still being read: names are unique, types as DuckDB writes them."""

    names: Sequence[str]
    types: Sequence[str]
    rows: Iterable[Row]

    def is_json(self, index: int) -> bool:
        """Say whether a column holds JSON."""
        return self.types[index] == "JSON"

    def is_number(self, index: int) -> bool:
        """Say whether a column holds numbers."""
        kind = self.types[index].removeprefix("U")
        return kind.endswith("INT") or kind.startswith(_NUMBERS)


def unique(names: Iterable[str]) -> list[str]:
    """Return the names; a repeated one gets a number: `a`, `a_1`."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def write_csv(result: Result, output: BinaryIO) -> None:
    """Write CSV as RFC 4180 quotes it, lines end in LF; NULL is nothing, an empty text is `""`."""
    alone = len(result.names) == 1
    output.write((",".join(_csv(name) for name in result.names) + "\n").encode())
    for row in result.rows:
        line = ",".join("" if value is None else _csv(as_text(value)) for value in row)
        # An empty line would not be a row.
        output.write((line or '""' if alone else line).encode() + b"\n")


def write_csv_safe(result: Result, output: BinaryIO) -> None:
    """Write CSV that a spreadsheet reads as values: no text of a cell is a formula there.

    Texts that begin like one get an apostrophe before them. All texts are quoted, because some
    spreadsheets separate cells by semicolons and would find a formula after one. Numbers stay as
    they are.
    """
    output.write((",".join(_safe(name) for name in result.names) + "\n").encode())
    numbers = [result.is_number(index) for index in range(len(result.names))]
    for row in result.rows:
        cells = (
            "" if value is None else as_text(value) if is_number else _safe(as_text(value))
            for value, is_number in zip(row, numbers, strict=True)
        )
        line = ",".join(cells)
        output.write((line or '""').encode() + b"\n")


def _safe(text: str) -> str:
    text = "'" + text if text.startswith(_FORMULA) else text
    return '"' + text.replace('"', '""') + '"'


def _csv(text: str) -> str:
    if text and not any(character in text for character in ',"\r\n') and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def write_jsonl(result: Result, output: BinaryIO) -> None:
    """Write one JSON object per line."""
    output.writelines(text + b"\n" for text in _objects(result))


def write_json(result: Result, output: BinaryIO) -> None:
    """Write one JSON array of objects."""
    before = b"[\n"
    for text in _objects(result):
        output.write(before + text)
        before = b",\n"
    output.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _objects(result: Result) -> Iterator[bytes]:
    keys = [as_json(name) + b":" for name in result.names]
    nested = [result.is_json(index) for index in range(len(keys))]
    for row in result.rows:
        columns = zip(keys, row, nested, strict=True)
        yield b"{" + b",".join(k + as_json(v, is_json=j) for k, v, j in columns) + b"}"


def write_markdown(result: Result, output: BinaryIO) -> None:
    """Write a table in Markdown."""
    count = range(len(result.names))
    rule = " | ".join("---:" if result.is_number(index) else "---" for index in count)
    output.write(f"| {' | '.join(_markdown(name) for name in result.names)} |\n".encode())
    output.write(f"| {rule} |\n".encode())
    for row in result.rows:
        cells = ("NULL" if value is None else _markdown(as_text(value)) for value in row)
        output.write(f"| {' | '.join(cells)} |\n".encode())


def _markdown(text: str) -> str:
    for found, instead in (
        ("\\", "\\\\"), ("|", "\\|"), ("[", "\\["), ("<", "&lt;"), ("\r\n", "<br>"), ("\n", "<br>")
    ):  # fmt: skip
        text = text.replace(found, instead)
    return printable(text)


def write_line(result: Result, output: BinaryIO) -> None:
    """Write each row as lines of `column = value`, with an empty line between two rows."""
    width = max((len(name) for name in result.names), default=0)
    before = ""
    for row in result.rows:
        output.write(before.encode())
        before = "\n"
        for name, value in zip(result.names, row, strict=True):
            text = "NULL" if value is None else as_text(value)
            first, *rest = text.splitlines() or [""]
            output.write(f"{printable(name):>{width}} = {printable(first)}\n".encode())
            output.writelines(f"{'':{width}}   {printable(line)}\n".encode() for line in rest)


def write_table(
    result: Result,
    output: TextIO,
    width: int | None,
    footer: TextIO | None = None,
    important: Sequence[str] = (),
) -> None:
    """Write a table for people; `width` is the terminal's.

    The number of rows goes to `footer`, by default standard error. `important`: the columns that a
    narrow terminal shows, the most important first.
    """
    ascii_only = "utf" not in (output.encoding or "").lower()
    counted = 0

    def cells() -> Iterator[list[Cell]]:
        nonlocal counted
        for row in result.rows:
            counted += 1
            yield [_cell(value) for value in row]

    right = [result.is_number(index) for index in range(len(result.names))]
    texts = [kind == "VARCHAR" for kind in result.types]
    headers = [printable(name) for name in result.names]
    first = [result.names.index(name) for name in important]
    layout = Layout(headers, right, width, ascii_only, texts, first)
    dim, end = ("\x1b[2m", "\x1b[0m") if shows_colours(output) else ("", "")
    output.writelines(line + "\n" for line in lines(layout, cells(), dim, end))
    hidden = len(layout.headers) - len(layout.shown)
    columns = (
        f", {len(layout.shown)} of {count(len(layout.headers), 'column')} shown" if hidden else ""
    )
    output.flush()
    told = f"({count(counted, 'row')}{columns})"
    if footer is None:
        note(told)
    else:
        print(told, file=footer)


def _cell(value: Any) -> Cell:
    return Cell("NULL", quiet=True) if value is None else Cell(printable(as_text(value)))


def write_plan(result: Result, output: BinaryIO) -> None:
    """Write the output of EXPLAIN unchanged."""
    output.writelines(as_text(row[-1]).encode() + b"\n" for row in result.rows)


WRITERS: Final[dict[str, Callable[[Result, BinaryIO], None]]] = {
    "csv": write_csv,
    "csv-safe": write_csv_safe,
    "line": write_line,
    "json": write_json,
    "jsonl": write_jsonl,
    "markdown": write_markdown,
    "plan": write_plan,
}
