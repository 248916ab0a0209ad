"""The report as one HTML file that loads nothing: styles inline, charts as SVG, no script.

Every text passes `shown.visible` and is escaped in every template. The policy of the page allows
only its own style, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup, escape

from chatlake.web import shown
from chatlake.web.report import words
from chatlake.web.report.calendar import Month, months
from chatlake.web.report.charts import Chart, cumulated, ranked, short, stacked
from chatlake.web.report.facts import Report
from chatlake.web.report.missing import NOT_IN_THE_DATA
from chatlake.web.report.usage import Usage
from chatlake.web.report.verdict import Verdict, unpriced_models
from chatlake.web.templates import environment

MOST_ROWS: Final = 100
"""Rows of a table on the page; `--json` has all."""
MONTHS_AT_FIRST: Final = 2
_MOST_TEXT: Final = 200  # characters of a text from outside
_POLICY: Final = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A row of a usage table; `share`: its share of all tokens, 0 to 1."""

    name: str
    usage: Usage
    share: float


def page(report: Report, verdict: Verdict) -> str:
    """Return the page."""
    style = files("chatlake.web").joinpath("templates/report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    found = months(report)
    return _environment().get_template("report.html.j2").render(
        report=report,
        verdict=verdict,
        policy=_POLICY.format(digest),
        style=Markup(style),  # noqa: S704 - a file of this package
        months=found[-MONTHS_AT_FIRST:],
        older=list(reversed(found[:-MONTHS_AT_FIRST])),
        total=_total(report),
        models=_models(report),
        values=_values(report),
        charts=_charts(report, found),
        unpriced=unpriced_models(report),
        new_fields=[each for standing in report.standings for each in standing.new_fields],
        missing=NOT_IN_THE_DATA,
        most=MOST_ROWS,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    made = environment().overlay(finalize=_visible)
    made.filters = {
        **made.filters,
        "when": words.when,
        "ago": words.ago,
        "short_day": words.short_day,
        "length_of": words.length,
        "short": short,
        "share": words.share,
        "dollars": words.dollars,
        "code": _code,
        "cut": lambda text: words.shortened(str(text), _MOST_TEXT),
    }
    return made


def _visible(value: Any) -> Any:
    return shown.visible(value) if type(value) is str else value


def _code(text: str) -> Markup:
    """Return a sentence with the text in backticks as code."""
    parts = shown.visible(text).split("`")
    if len(parts) % 2 == 0:  # an odd number of backticks: one of them is not ours
        return escape(shown.visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def _total(report: Report) -> Usage:
    return sum((usage for _, _, usage in report.usage.daily), Usage())


def _models(report: Report) -> list[UsageRow]:
    found: dict[str, Usage] = {}
    for _, model, usage in report.usage.daily:
        name = model or "(no model)"
        found[name] = found.get(name, Usage()) + usage
    rows = _rows(list(found.items()))
    return sorted(rows, key=lambda row: (-row.usage.tokens, -row.usage.completions, row.name))


def _values(report: Report) -> list[UsageRow]:
    usage = report.usage
    rows = [*usage.by_value]
    if usage.unlabelled.completions:
        rows.append(("(without it)", usage.unlabelled))
    return _rows(rows)


def _rows(groups: list[tuple[str, Usage]]) -> list[UsageRow]:
    tokens = sum(usage.tokens for _, usage in groups)
    return [
        UsageRow(name, usage, usage.tokens / tokens if tokens else 0.0) for name, usage in groups
    ]


def _charts(report: Report, calendar: list[Month]) -> dict[str, Chart | None]:
    first, last = _span(report, calendar)
    today, growth = report.identity.generated_at.date(), report.growth
    daily = report.usage.daily
    name = {model: model or "(no model)" for _, model, _ in daily}
    tokens = [(day, name[model], float(usage.tokens)) for day, model, usage in daily]
    dollars = [(day, name[model], usage.dollars or 0.0) for day, model, usage in daily]
    names = ranked(tokens)
    return {
        "tokens": stacked(tokens, names, first, last, short),
        "dollars": stacked(dollars, names, first, last, words.dollars),
        "rows": cumulated(growth.completions, today, short, "completions"),
        "bytes": cumulated(growth.bytes_added, today, _size, "written", of=2),
    }


def _size(amount: float) -> str:
    return shown.size(round(amount))


def _span(report: Report, calendar: list[Month]) -> tuple[date, date]:
    """Return the first and the last day of the usage charts: no future, and a limited past."""
    today, period = report.identity.generated_at.date(), report.identity.period
    if period is not None:
        return period.first, period.end - timedelta(days=1)
    earliest = calendar[0].first
    known = [day for day, _, _ in report.usage.daily if earliest <= day <= today]
    return min(known, default=today), today
