"""`chatlake search`: conversations that contain some words, newest first."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import (
    ConfigOption,
    JsonOption,
    OfSourceOption,
    SinceOption,
    UntilOption,
    examples,
)
from chatlake.cli.output import note, paint, printable, say, write_json
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from chatlake.lake.catalog.excerpts import Excerpt, Summary
    from chatlake.lake.catalog.search import Found, ListRow
    from chatlake.lake.catalog.search_query import Criteria

EXAMPLES = examples(
    "chatlake search refund",
    "chatlake search '\"where is my order\"' --since 2026-11-01",
    "chatlake search invoice --model gpt-4o --limit 5 --json",
)


def search(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORDS",
            help=(
                "Words that must all occur in one message; case is ignored. Words in double "
                "quotes must stand together, in that order."
            ),
            show_default=False,
        ),
    ],
    config: ConfigOption = None,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    source: OfSourceOption = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Only this model.", show_default=False)
    ] = None,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=1000, help="Maximum number of conversations to show."),
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Find conversations by their words, newest first.

    Searches texts, refusals and tool calls. It reads the newest day first, then longer and longer
    spans of older days until it has found enough. It says which days it has not read.
    """
    from chatlake.lake.catalog.search import MOST_WORDS, all_terms, terms  # noqa: PLC0415
    from chatlake.lake.catalog.search_query import Criteria  # noqa: PLC0415

    # Each shell argument is read on its own: it may hold quoted phrases and single words.
    wanted = tuple(term for word in words for term in terms(word))
    if not wanted:
        raise UsageError("there are no words to search for", hint="Try: chatlake search refund")
    for left_out in (term for word in words for term in all_terms(word)[MOST_WORDS:]):
        note(f"not searched for: {printable(left_out)}; one argument may have {MOST_WORDS} words")
    criteria = Criteria(
        words=wanted,
        source=source,
        model=model,
        since=_day("--since", since),
        until=_day("--until", until),
    )
    found, shown = _find(criteria, config, limit)
    if as_json:
        write_json(_document(found, shown))
        return
    for row, summary in zip(found.rows, shown, strict=True):
        _show(row, summary, wanted)
    if found.rows and sys.stdout.isatty():
        note("Read one with `chatlake show ID`.")
    _tell(found, is_whole=since is None and until is None)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: expected a date such as 2026-01-31, got {text!r}", hint="Correct the value."
        ) from None


def _find(criteria: Criteria, config: Path | None, limit: int) -> tuple[Found, list[Summary]]:
    from chatlake.bootstrap.opened import open_lake, require_sources  # noqa: PLC0415
    from chatlake.cli.sql_answer import open_for_questions  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.lake.catalog.excerpts import summaries  # noqa: PLC0415
    from chatlake.lake.catalog.search import find, stored_days  # noqa: PLC0415

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[Found, list[Summary]]:
        spans = 0

        def ask(query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
            return connection.execute(query, parameters).fetchall()

        def on_window(newest: date, oldest: date) -> None:
            nonlocal spans
            spans += 1
            if spans > 2:  # the newest days take too little time to mention
                note(paint(f"searching {oldest} to {newest} …", "dim", sys.stderr))

        days = [day for day, _ in stored_days(ask)]
        found = find(ask, days, criteria, count=limit, on_window=on_window)
        by_place = summaries(ask, found.rows, criteria.words)
        return found, [by_place[row.place] for row in found.rows]

    settings = load_settings(config)
    lake = open_lake(settings, to_ask=True)
    require_sources(settings, lake, () if criteria.source is None else (criteria.source,))
    with open_for_questions(lake) as questions:
        return questions.read(read)


def _show(row: ListRow, summary: Summary, words: Sequence[str]) -> None:
    when = _moment(row)
    where = "" if row.hit is None else f"#{row.hit}"
    facts = " · ".join((when, row.source, printable(row.model or "no model")))
    say(f"{paint(printable(row.completion_id) + where, 'bold')}  {paint(facts, 'dim')}")
    excerpt = summary.hit or summary.question or summary.reply
    if excerpt is not None:
        say(f"  {printable(excerpt.role)}: {_marked(excerpt, words)}")
    say()


def _marked(excerpt: Excerpt, words: Sequence[str]) -> str:
    pieces = (
        paint(printable(text), "yellow") if is_hit else printable(text)
        for text, is_hit in excerpt.pieces(words)
    )
    before, after = "…" * excerpt.cut_before, "…" * excerpt.cut_after
    return f"{before}{''.join(pieces)}{after}".replace(r"\n", " ")


def _moment(row: ListRow) -> str:
    from chatlake.cli.words import moment  # noqa: PLC0415

    if row.created_us is None:
        return str(row.day)
    return moment(datetime.fromtimestamp(row.created_us / 1_000_000, UTC))


def _tell(found: Found, *, is_whole: bool) -> None:
    from chatlake.model.counts import count  # noqa: PLC0415

    total = count(len(found.rows), "conversation")
    if found.oldest is None:
        where = "the lake has no completions yet" if is_whole else "no completions on these days"
        note(f"Nothing to search: {where}.")
    elif found.next_place is None:
        note(f"{total} found in all {count(found.days_looked_at, 'day')} with completions")
    else:
        left = count(found.days_left, "older day")
        rest = f" {left} not searched." if found.days_left else ""
        note(f"{total} shown, and there are more: see --limit.{rest}")


def _document(found: Found, shown: Sequence[Summary]) -> dict[str, Any]:
    def text(excerpt: Excerpt | None) -> str | None:
        return None if excerpt is None else excerpt.text

    return {
        "completions": [
            {
                "source": row.source,
                "completion_id": row.completion_id,
                "created_at": _iso(row),
                "created_date": str(row.day),
                "model": row.model,
                "message_index": row.hit,
                "role": None if summary.hit is None else summary.hit.role,
                "excerpt": text(summary.hit),
                "question": text(summary.question),
                "reply": text(summary.reply),
                "deleted": row.is_deleted,
            }
            for row, summary in zip(found.rows, shown, strict=True)
        ],
        "newest_day": None if found.newest is None else str(found.newest),
        "oldest_day": None if found.oldest is None else str(found.oldest),
        "days_searched": found.days_looked_at,
        "days_not_searched": found.days_left,
        "complete": found.next_place is None,
    }


def _iso(row: ListRow) -> str | None:
    from chatlake.cli.sql_values import as_text  # noqa: PLC0415

    if row.created_us is None:
        return None
    return as_text(datetime.fromtimestamp(row.created_us / 1_000_000, UTC))
