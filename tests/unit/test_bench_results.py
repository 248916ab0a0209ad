"""The benchmarks' verdicts, and what is kept of them."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report import as_json, cells, merged, page, read_rows
from bench.results import Row, Target

ROW = Row("peers", "wall time", "1 s", "6 s", 6.0, Target("at least", 5.0), note="why")


@pytest.mark.parametrize(
    ("bound", "ratio", "met"),
    [
        ("at least", 5.0, True),
        ("at least", 4.99, False),
        ("at least", float("nan"), False),
        ("at most", 5.0, True),
        ("at most", 5.01, False),
        ("at most", float("nan"), False),
    ],
)
def test_a_target_judges_in_its_direction(bound: str, ratio: float, met: bool) -> None:
    """The bound itself is met, the other side of it is not, and no number never is."""
    target = Target(bound, 5.0)  # type: ignore[arg-type]
    assert dataclasses.replace(ROW, target=target, ratio=ratio).met is met


def test_a_miss_is_not_hidden() -> None:
    """A row says no if its target is missed, and nothing if it has no target."""
    assert cells(ROW)[-2:] == ("at least 5", "yes")
    assert cells(dataclasses.replace(ROW, ratio=4.999))[-3:] == ("4.999", "at least 5", "**no**")
    assert cells(dataclasses.replace(ROW, target=None))[-2:] == ("", "")


def test_results_come_back_as_they_were() -> None:
    """What the file of results holds reads as the same rows."""
    rows = [ROW, Row("disk", "bytes", "1 MB", "4 MB", 0.25)]
    assert read_rows(as_json(rows, cores=2)) == rows


def test_a_verdict_that_its_figures_contradict_is_refused() -> None:
    """A file of results in which somebody changed a verdict cannot be read."""
    text = as_json([ROW], cores=2).replace('"met": true', '"met": false')
    with pytest.raises(ValueError, match="wall time"):
        read_rows(text)


def test_one_group_measured_replaces_its_rows_alone() -> None:
    """Rows of other groups stay, and the order is that of the groups."""
    other = Row("disk", "bytes", "1 MB", "4 MB", 0.25)
    new = dataclasses.replace(ROW, ratio=7.0)
    assert merged([ROW, other], [new], ["peers", "disk"]) == [new, other]
    assert merged([ROW], [other], ["disk", "peers"]) == [other, ROW]


def test_a_page_gets_its_table_between_the_marks() -> None:
    """The text around the measured section stays."""
    text = "before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n"
    new = page(text, [ROW])
    assert new.startswith("before\n<!-- measured -->\n")
    assert new.endswith("<!-- end of measured -->\nafter\n")
    assert "| wall time | 1 s | 6 s | 6.00 | at least 5 | yes |" in new
    assert "old" not in new
    assert page(new, [ROW]) == new
