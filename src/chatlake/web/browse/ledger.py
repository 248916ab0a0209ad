"""The pages about the lake itself: its runs, its gaps, its usage by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from chatlake.web.browse.catalogue import Session

MOST: Final = 200
_RUNS: Final = f"""
SELECT * EXCLUDE (started_at, finished_at), epoch_us(started_at) AS started_us,
    epoch_us(finished_at) AS finished_us
FROM runs
ORDER BY runs.started_at DESC, run_id, source
LIMIT {MOST}
"""  # noqa: S608 - of constants
_GAPS: Final = f"""
SELECT source, completion_id, reason, detail, request_id, attempts,
    epoch_us(created_at) AS created_us, epoch_us(first_attempt_at) AS first_us,
    epoch_us(last_attempt_at) AS last_us
FROM failures
ORDER BY last_attempt_at DESC, source, completion_id
LIMIT {MOST}
"""  # noqa: S608 - of constants
_DAYS: Final = """
SELECT created_date AS day, count(*) AS completions, sum(message_count)::BIGINT AS messages,
    sum(image_count)::BIGINT AS images, sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens, sum(total_tokens)::BIGINT AS total_tokens,
    count(*) FILTER (WHERE total_tokens IS NULL) AS without_usage
FROM completions
WHERE created_date >= $first
GROUP BY created_date
ORDER BY created_date DESC
"""
_MODELS: Final = """
SELECT source, model, count(*) AS completions, sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens, sum(total_tokens)::BIGINT AS total_tokens
FROM completions
WHERE created_date >= $first
GROUP BY ALL
ORDER BY total_tokens DESC NULLS LAST, source, model
"""
DAYS: Final = 60
MODELS: Final = 100


@dataclass(frozen=True, slots=True)
class UsagePage:
    """The usage of the newest days. `most_tokens`: the highest of a day, which sets the scale.

    `more_models`: how many models are not shown, those with the fewest tokens.
    """

    days: list[dict[str, Any]]
    models: list[dict[str, Any]]
    more_models: int
    most_tokens: int
    totals: dict[str, int]


def runs(session: Session) -> list[dict[str, Any]]:
    """Return the newest runs, one row for each run and source."""
    return session.rows(_RUNS)


def gaps(session: Session) -> tuple[list[dict[str, Any]], int]:
    """Return the newest gaps, and how many there are in all."""
    ((count,),) = session.ask("SELECT count(*) FROM failures")
    return session.rows(_GAPS), int(count)


def usage(session: Session, days: Sequence[tuple[date, int]]) -> UsagePage:
    """Return tokens by day and by model, of the newest sixty days with completions."""
    first = days[min(DAYS, len(days)) - 1][0] if days else date.max - timedelta(days=1)
    found = session.rows(_DAYS, {"first": first})
    models = session.rows(_MODELS, {"first": first})
    names = ("completions", "messages", "images", "total_tokens")
    return UsagePage(
        days=found,
        models=models[:MODELS],
        more_models=len(models[MODELS:]),
        most_tokens=max((row["total_tokens"] or 0 for row in found), default=0),
        totals={name: sum(row[name] or 0 for row in found) for name in names},
    )
