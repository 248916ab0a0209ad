"""The report as JSON values: `chatlake report --json`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from chatlake.web.report.calendar import missed_days, months
from chatlake.web.report.facts import Report
from chatlake.web.report.missing import NOT_IN_THE_DATA
from chatlake.web.report.usage import Usage
from chatlake.web.report.verdict import Verdict, unpriced_models


def document(report: Report, verdict: Verdict) -> dict[str, Any]:
    """Return everything that the page shows; times are ISO 8601 in UTC, lengths are seconds."""
    identity, counts, usage = report.identity, report.reconciliation, report.usage
    days = [day for month in months(report) for week in month.weeks for day in week if day]
    found: dict[str, Any] = {
        "lake": identity.location,
        "commit": identity.commit,
        "committed_at": identity.committed_at,
        "fingerprint": identity.fingerprint,
        "views_commit": identity.views_commit,
        "generated_at": identity.generated_at,
        "chatlake": identity.version,
        "month": None if identity.period is None else identity.period.name,
        "verdict": asdict(verdict),
        "sources": [asdict(standing) for standing in report.standings],
        "reconciliation": {
            "listed": counts.listed,
            "stored_whole": counts.whole,
            "gaps": counts.gaps,
            "stored": counts.stored,
            "stored_in_part": counts.in_part,
            "present": counts.present,
            "deleted": counts.deleted,
            "forgotten": counts.forgotten,
            "figures": [
                {
                    "name": figure.name,
                    "meaning": figure.meaning,
                    "value": figure.value,
                    "same": dict(figure.same),
                    "agrees": figure.agrees,
                }
                for figure in counts.figures
            ],
        },
        "calendar": [
            {"day": day.day, "backup": day.state, "completions": day.completions} for day in days
        ],
        "days_without_backup": missed_days(report),
        "runs": [asdict(run) for run in report.runs],
        "gaps": [asdict(gap) for gap in report.gaps],
        "verification": asdict(report.verification),
        "changes": asdict(report.changes),
        "usage": {
            "prices": usage.prices,
            "by_day_and_model": [
                {"day": day, "model": model, **_usage(one)} for day, model, one in usage.daily
            ],
            "metadata_key": usage.key,
            "by_value": [{"value": value, **_usage(one)} for value, one in usage.by_value],
            "values": usage.values,
            "unlabelled": _usage(usage.unlabelled),
            "models_without_price": unpriced_models(report),
        },
        "quality": asdict(report.quality),
        "growth": {
            "completions": dict(_by_day(report.growth.completions)),
            "bytes_added": dict(_by_day(report.growth.bytes_added)),
        },
        "not_in_the_data": [asdict(each) for each in NOT_IN_THE_DATA],
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def _usage(usage: Usage) -> dict[str, Any]:
    return {**asdict(usage), "total_tokens": usage.tokens}


def _by_day(amounts: tuple[tuple[date, int], ...]) -> list[tuple[str, int]]:
    return [(day.isoformat(), amount) for day, amount in amounts]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value
