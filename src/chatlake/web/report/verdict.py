"""The verdict: one sentence about the whole lake, and what somebody should look at.

A finding is `bad` if something in the lake is wrong or being lost, `warn` if somebody should act or
know, `note` if it is good to know. The worst one gives the verdict its level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from chatlake.model.counts import count
from chatlake.web.report.calendar import is_daily, missed_days
from chatlake.web.report.facts import Report, Standing
from chatlake.web.report.words import (
    ago,
    length,
    listed,
    share,
    short_day,
    shortened,
    when,
)

Level = Literal["good", "note", "warn", "bad"]

_SOON: Final = timedelta(days=7)
_NAMED: Final = 3
_RANK: Final[tuple[Level, ...]] = ("good", "note", "warn", "bad")


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at: a headline, a sentence, and the section that has more."""

    level: Level
    headline: str
    text: str
    section: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The level (good, warn or bad), a headline of a few words, and the sentence."""

    level: Level
    headline: str
    sentence: str
    findings: tuple[Remark, ...]


def judge(report: Report) -> Verdict:
    """Return the verdict; its findings have the worst first."""
    findings = sorted(_findings(report), key=lambda each: -_RANK.index(each.level))
    worst = findings[0].level if findings else "good"
    level: Level = "good" if worst == "note" else worst
    return Verdict(level, _headline(report, level), _sentence(report), tuple(findings))


def _headline(report: Report, level: Level) -> str:
    if not report.reconciliation.listed:
        return "Nothing is backed up yet"
    if level == "bad":
        return "Something is wrong: act now"
    return "Backed up, with points to check" if level == "warn" else "Everything is backed up"


def _sentence(report: Report) -> str:
    counts, identity = report.reconciliation, report.identity
    if not counts.listed:
        text = "The lake holds no completions"
    elif counts.gaps:
        text = (
            f"{counts.whole:,} of {count(counts.listed, 'listed completion')} are completely stored"
        )
    else:
        has = (
            "the one completion"
            if counts.listed == 1
            else f"all {count(counts.listed, 'completion')}"
        )
        text = f"The lake holds {has} that the source{_plural(report)} ever listed"
        # They have no time any more, so a month cannot count those created in it.
        if counts.forgotten:
            text += (
                ", except what was forgotten"
                if identity.period
                else (f", except {count(counts.forgotten, 'forgotten one')}")
            )
    covered = [each.covered_until for each in report.standings if each.configured]
    known = [at for at in covered if at is not None]
    if known and len(known) == len(covered):
        text += f", up to {when(min(known))}"
    if identity.fingerprint:
        return f"{text} (commit {identity.commit:,}, fingerprint {identity.fingerprint})."
    return f"{text}; it has no commit yet."


def _plural(report: Report) -> str:
    return "s" if len(report.standings) > 1 else ""


def _findings(report: Report) -> Iterator[Remark]:
    yield from _damage(report)
    for standing in report.standings:
        yield from _expiry(standing, report)
    yield from _last_run(report)
    yield from _nights(report)
    yield from _gaps(report)
    yield from _deleted(report)
    yield from _new_fields(report)
    yield from _prices(report)
    yield from _verified(report)
    for standing in report.standings:
        if standing.silence:
            headline = f"{standing.name} has had nothing new"
            yield Remark("note", headline, f"{standing.silence}.", "reconciliation")
        for warning in standing.warnings:
            headline = f"{standing.name} has an implausible time"
            yield Remark("note", headline, f"{warning}.", "reconciliation")
    if report.identity.writer is not None:
        lag = report.identity.commit - report.identity.views_commit
        behind = f"; the figures of usage are {count(lag, 'commit')} behind" if lag > 0 else ""
        yield Remark(
            "note", "A backup is writing", f"{report.identity.writer}{behind}.", "calendar"
        )


def _damage(report: Report) -> Iterator[Remark]:
    damaged = report.verification.damaged
    if damaged:
        text = f"{listed(damaged, _NAMED)}. Restore them from a copy, or run `chatlake backup`."
        yield Remark("bad", f"{count(len(damaged), 'file')} damaged", text, "verification")
    lagging = report.identity.views_commit != report.identity.commit
    wrong = [each for each in report.reconciliation.figures if not each.agrees]
    if wrong and not lagging:
        names = listed([each.name for each in wrong], _NAMED)
        text = f"{names}: counts that must agree differ. Run `chatlake verify`."
        yield Remark("bad", "Figures do not agree", text, "reconciliation")


def _expiry(standing: Standing, report: Report) -> Iterator[Remark]:
    now, expires_at, keeps = report.identity.generated_at, standing.expires_at, standing.retention
    if expires_at is None or keeps is None or expires_at - now >= min(_SOON, keeps / 2):
        return
    kept = f"the source keeps {length(keeps)}"
    if expires_at < now:
        text = f"The oldest completions that are not stored may be gone already: {kept}."
        yield Remark("bad", f"{standing.name} may lose completions", text, "calendar")
        return
    text = (
        f"On {when(expires_at)} the oldest completions that are not stored may expire: {kept}. "
        "Run `chatlake backup`."
    )
    headline = f"{standing.name}: {length(expires_at - now)} left for what is not stored"
    yield Remark("warn", headline, text, "calendar")


def _last_run(report: Report) -> Iterator[Remark]:
    now = report.identity.generated_at
    for standing in report.standings:
        if not standing.configured:
            continue
        last = next((run for run in report.runs if run.source == standing.name), None)
        if last is None:
            text = "Run `chatlake backup`."
            yield Remark("warn", f"No backup of {standing.name} has run yet", text, "calendar")
        elif last.status in ("failed", "killed", "interrupted"):
            error = f": {shortened(last.error, 200)}" if last.error else ""
            text = f"It began {ago(last.started_at, now)}{error}."
            headline = f"The last backup of {standing.name} was {last.status}"
            if last.status == "failed":
                headline = f"The last backup of {standing.name} failed"
            yield Remark("warn", headline, text, "calendar")


def _nights(report: Report) -> Iterator[Remark]:
    days = missed_days(report)
    if not days:
        return
    newest = list(reversed(days))
    text = f"No backup on {listed([short_day(day) for day in newest], _NAMED)}."
    if not is_daily(report):
        yield Remark("note", "Backups do not run daily", text, "calendar")
        return
    later = [run for run in report.runs if run.ended_at.date() > days[-1]]
    if any(run.status in ("complete", "incomplete") for run in later):
        text += " A later backup has fetched what was created then."
    yield Remark("warn", f"{count(len(days), 'day')} without a backup", text, "calendar")


def _gaps(report: Report) -> Iterator[Remark]:
    if not report.gaps:
        return
    reasons = Counter(gap.reason for gap in report.gaps)
    text = listed([f"{number:,} {reason}" for reason, number in reasons.most_common()], _NAMED)
    text = f"{text}. Every backup tries again; each is named below with its request id."
    what = "a completion" if len(report.gaps) == 1 else "completions"
    headline = f"{count(len(report.gaps), 'gap')}: {what} not completely stored"
    yield Remark("warn", headline, text, "gaps")


def _deleted(report: Report) -> Iterator[Remark]:
    deleted = report.reconciliation.deleted
    if deleted:
        text = f"The lake keeps {'it' if deleted == 1 else 'them'}."
        headline = f"{count(deleted, 'completion')} deleted at the source"
        yield Remark("note", headline, text, "changes")


def _new_fields(report: Report) -> Iterator[Remark]:
    fields = [each for standing in report.standings for each in standing.new_fields]
    if fields:
        names = listed([shortened(each.field, 60) for each in fields], _NAMED)
        text = f"{names}: stored in `raw`, without a column."
        headline = f"{count(len(fields), 'field')} that chatlake does not know"
        yield Remark("note", headline, text, "changes")


def _prices(report: Report) -> Iterator[Remark]:
    models = unpriced_models(report)
    if not models:
        return
    names = listed([shortened(model, 40) for model in models], _NAMED)
    if report.usage.prices:
        text = f"{names}: dollars leave them out. Add them to `prices` in the configuration."
    else:
        text = f"{names}: no prices are configured, so the report has no dollars."
    yield Remark("note", f"{count(len(models), 'model')} without a price", text, "usage")


def unpriced_models(report: Report) -> list[str]:
    """Return the models of completions without a price, the most used first."""
    used: Counter[str] = Counter()
    for _, model, usage in report.usage.daily:
        if usage.unpriced:
            used[model or "(no model)"] += usage.unpriced
    return [model for model, _ in used.most_common()]


def _verified(report: Report) -> Iterator[Remark]:
    found = report.verification
    if not found.files:
        return
    if found.last_at is None:
        text = "Run `chatlake verify`, or a part every night with `--subset`."
        yield Remark("note", "The files were never verified", text, "verification")
    elif found.recent < found.files:
        text = f"{share(found.recent, found.files)} of the files were checked in the last 31 days."
        yield Remark("note", "Not all files are verified", text, "verification")
