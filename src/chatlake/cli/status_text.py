"""`chatlake status`, for people."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from chatlake.cli.output import paint, printable, say
from chatlake.cli.status_facts import SourceFacts, StatusFacts
from chatlake.cli.table import Cell, Layout, lines
from chatlake.cli.words import ago, duration, moment, shortened, size
from chatlake.model.counts import count
from chatlake.model.manifest import Failure, SourceRun, parse_time
from chatlake.model.new_fields import NewField
from chatlake.model.tables import COMPLETIONS, IMAGES, MESSAGES

_RUNS = 5
_GAPS = 5
_FIELDS = 5
_SOON = timedelta(days=7)
_STYLES = {"complete": "green", "running": "bold", "incomplete": "yellow"}


def show_status(location: str, facts: StatusFacts) -> None:
    """Write all facts to standard output."""
    octets = sum(source.bytes for source in facts.sources)
    files = sum(source.files for source in facts.sources)
    say(f"{paint(location, 'bold')}: {size(octets)} in {count(files, 'file')}")
    if facts.fingerprint is not None:
        say(f"Commit {count(facts.commit)}, fingerprint {facts.fingerprint}")
    _show_unlisted(facts)
    if facts.forgotten:
        say(
            f"{count(facts.forgotten, 'completion')} forgotten for good (receipts are in receipts/)"
        )
    if facts.holder is not None:
        say(f"A backup is running: {facts.holder}")
    for source in facts.sources:
        say()
        _show_source(source, facts.now)
    say()
    _show_runs(facts.runs)


def _show_unlisted(facts: StatusFacts) -> None:
    replaced, moved = facts.replaced_files or 0, facts.replaced_bytes or 0
    others, octets = (facts.unlisted_files or 0) - replaced, (facts.unlisted_bytes or 0) - moved
    if replaced:
        say(
            f"In addition, {size(moved)} in {count(replaced, 'replaced file')}, kept for readers "
            "until chatlake vacuum"
        )
    if others:
        say(
            f"In addition, {size(octets)} in {count(others, 'file')} that no manifest lists: "
            "the next command that writes moves them away"
        )


def _show_source(source: SourceFacts, now: datetime) -> None:
    left_over = "" if source.configured else " (no longer in the configuration)"
    rows = source.rows
    if not rows[COMPLETIONS] and source.covered_until is None:
        say(f"{paint(source.name, 'bold')}: nothing backed up yet{left_over}")
    else:
        say(
            f"{paint(source.name, 'bold')}: {count(rows[COMPLETIONS], 'completion')}, "
            f"{count(rows[MESSAGES], 'message')}, {count(rows[IMAGES], 'stored image')}, "
            f"{size(source.bytes)} in {count(source.files, 'file')}{left_over}"
        )
    oldest, newest = source.dates.oldest, source.dates.newest
    if oldest is not None and newest is not None:
        say(f"  created        {moment(oldest)} to {moment(newest)}")
        say(f"  newest         {ago(newest, now)}")
    run = source.last_complete_run
    if run is not None and run.finished_at is not None:
        finished = parse_time(run.finished_at)
        say(f"  last complete  {moment(finished)} ({ago(finished, now)})")
    if source.covered_until is not None or source.last_sweep is not None:
        _show_sweep(source, now)
    if source.gaps or source.covered_until is not None:
        _show_gaps(source.gaps)
    _show_expiry(source, now)
    _show_new_fields(source.new_fields)
    for warning in source.warnings:
        say(f"  {paint('warning', 'yellow')}        {printable(warning)}")


def _show_sweep(source: SourceFacts, now: datetime) -> None:
    run, every = source.last_sweep, source.sweep_every
    if run is not None:
        swept_at = parse_time(run.finished_at or run.started_at)
        text = f"{moment(swept_at)} ({ago(swept_at, now)})"
        is_late = every is not None and now - swept_at > 2 * every
        say(f"  full sweep     {paint(text, 'yellow') if is_late else text}")
    elif every is not None:
        say(f"  full sweep     none yet; a backup runs one every {duration(every.total_seconds())}")
    elif source.configured:
        text = "none yet, and none is scheduled (full_sweep_every: null): chatlake backup --full"
        say(f"  full sweep     {paint(text, 'yellow')}")


def _show_gaps(gaps: list[Failure]) -> None:
    if not gaps:
        say(f"  gaps           {paint('none', 'green')}")
        return
    reasons = Counter(gap.reason for gap in gaps)
    told = ", ".join(f"{count(number)} {reason}" for reason, number in reasons.most_common())
    say(f"  gaps           {paint(told, 'yellow')}; the next backup tries them again")
    for gap in gaps[:_GAPS]:
        tries = count(gap.attempts, "attempt")
        say(f"    {printable(gap.completion_id)}  {gap.reason}, {tries}, {_between(gap)}")
    if len(gaps) > _GAPS:
        say(f"    … and {count(len(gaps) - _GAPS)} more: chatlake sql 'FROM failures'")


def _show_new_fields(fields: list[NewField]) -> None:
    if not fields:
        return
    say(f"  new fields     {count(len(fields))} that chatlake does not know; kept in raw")
    for each in fields[:_FIELDS]:
        example = f", e.g. {printable(each.completion_id)}" if each.completion_id else ""
        stored = count(each.completions, "completion")
        since = f"{parse_time(each.first_seen_at):%Y-%m-%d}"
        say(f"    {printable(each.field)}  {stored} since {since}{example}")
    if len(fields) > _FIELDS:
        say(f"    … and {count(len(fields) - _FIELDS)} more: chatlake status --json")


def _show_expiry(source: SourceFacts, now: datetime) -> None:
    if source.covered_until is None or source.expires_in is None or source.retention is None:
        return
    say(f"  backed up to   {moment(source.covered_until)} ({ago(source.covered_until, now)})")
    kept = f"the source keeps {duration(source.retention.total_seconds())}"
    if source.expires_in < timedelta(0):
        text = f"the oldest missing completions may be gone already ({kept}): back up now"
        say(f"  expires        {paint(text, 'red')}")
        return
    text = f"what is not backed up yet, in {duration(source.expires_in.total_seconds())} at the "
    text += f"earliest ({kept})"
    say(f"  expires        {paint(text, 'yellow') if source.expires_in < _SOON else text}")


def _show_runs(runs: list[SourceRun]) -> None:
    if not runs:
        say("No runs yet.")
        return
    say("Last runs:")
    figures = ("listed", "new", "changed", "unchanged", "failed")
    headers = ("started (UTC)", "source", "status", *figures, "took")
    rows = [
        [
            Cell(f"{parse_time(run.started_at):%Y-%m-%d %H:%M}"), Cell(run.source),
            Cell(run.status if run.mode == "incremental" else f"{run.status} ({run.mode})"),
            *(Cell(count(getattr(run, figure))) for figure in figures),
            Cell(duration(run.seconds)),
        ]
        for run in runs[:_RUNS]
    ]  # fmt: skip
    right = [False] * 3 + [True] * (len(figures) + 1)
    first, rule, *body = lines(Layout(headers, right), rows, "", "")
    say(f"  {first}")
    say(f"  {rule}")
    for run, line in zip(runs, body, strict=False):
        say("  " + line.replace(run.status, paint(run.status, _STYLES.get(run.status, "red")), 1))
    for run in runs[:1]:
        if run.error:
            say(f"  the last one ended with: {shortened(printable(run.error), 200)}")


def _between(gap: Failure) -> str:
    """Return first and last attempt."""
    first, last = (
        f"{parse_time(text):%Y-%m-%d %H:%M}" if text else "?"
        for text in (gap.first_attempt_at, gap.last_attempt_at)
    )
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"
