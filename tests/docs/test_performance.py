"""docs/performance.md is what the kept results say, and explains each group of them."""

from __future__ import annotations

import json

from bench.chart import svg
from bench.report import CHART, PAGE, RESULTS, page, read_rows
from bench.rows import BY_DEFAULT, GROUPS
from tests.docs.markdown import ROOT

DOCS = ROOT / "docs"


def test_table_and_chart_are_those_of_the_results() -> None:
    """Table and chart show exactly the stored results."""
    rows = read_rows((DOCS / RESULTS).read_text(encoding="utf-8"))
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    assert page(text, rows) == text
    assert (DOCS / CHART).read_text(encoding="utf-8") == svg(rows)


def test_results_have_every_group() -> None:
    """No group that `make bench` measures was left out."""
    rows = json.loads((DOCS / RESULTS).read_text(encoding="utf-8"))["rows"]
    assert set(BY_DEFAULT) <= {row["group"] for row in rows}


def test_every_group_is_explained_with_its_command() -> None:
    """Each has a heading and the command that measures it alone."""
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    for group in GROUPS:
        assert f"\n### {group}\n" in text
        assert f"`.venv/bin/python -m bench --only {group}`" in text
