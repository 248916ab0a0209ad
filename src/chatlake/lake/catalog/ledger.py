"""The ledger as tables: every run's figures and every open failure, for the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, Final, cast

import pyarrow as pa

from chatlake.lake.files.schema import COUNT, REAL, TEXT, TIME
from chatlake.model.manifest import LakeState, parse_time
from chatlake.model.prices import Price

_COUNTS: Final = pa.map_(TEXT, COUNT)
_RUNS: Final[tuple[tuple[str, pa.DataType, str], ...]] = (
    ("run_id", TEXT, "Id of the run."),
    ("source", TEXT, "Source of these figures."),
    ("status", TEXT, "running, complete, incomplete, failed or interrupted."),
    ("mode", TEXT, "incremental, full or ids."),
    ("started_at", TIME, "Start of the run, UTC."),
    ("finished_at", TIME, "End of the run, UTC; NULL if it was killed, or still runs."),
    ("seconds", REAL, "Wall time in seconds."),
    ("listed", COUNT, "Completions listed: new + changed + unchanged + failed."),
    ("new", COUNT, "Completions that the lake did not have."),
    ("changed", COUNT, "Completions that the lake had in an earlier version."),
    ("unchanged", COUNT, "Completions that the lake had in this version."),
    ("deleted", COUNT, "Completions found deleted at the source."),
    ("failed", COUNT, "Completions that could not be fetched; see failures."),
    ("messages", COUNT, "Messages stored."),
    ("content_parts", COUNT, "Content parts stored."),
    ("images", COUNT, "Image parts stored, embedded or linked."),
    ("requests", COUNT, "Requests sent."),
    ("retries", COUNT, "Requests sent again."),
    ("rate_limited", COUNT, "Responses 429."),
    ("files_added", COUNT, "Files added to the lake."),
    ("bytes_added", COUNT, "Size of the files added, in bytes."),
    (
        "healed_files",
        COUNT,
        "Files that were missing or had another size, and whose content was fetched again.",
    ),
    ("error", TEXT, "The error that ended the run, if any."),
    ("redacted", _COUNTS, "Values redacted in what was stored, by kind; NULL if there were none."),
)

_FAILURES: Final[tuple[tuple[str, pa.DataType, str], ...]] = (
    ("source", TEXT, "Source of the completion."),
    ("completion_id", TEXT, "Id of the completion that could not be fetched."),
    ("reason", TEXT, "Word for the reason: not_found, rejected, retries_exhausted, and others."),
    ("detail", TEXT, "What happened."),
    ("request_id", TEXT, "The service's id of the last request."),
    ("created_at", TIME, "When the API created the completion, UTC; NULL if it was never seen."),
    ("run_id", TEXT, "Run of the last attempt."),
    ("first_attempt_at", TIME, "First attempt, UTC."),
    ("last_attempt_at", TIME, "Last attempt, UTC."),
    ("attempts", COUNT, "Runs that have tried."),
)

_PRICE_COLUMNS: Final[tuple[tuple[str, pa.DataType], ...]] = (
    ("model", TEXT), ("valid_from", pa.date32()), ("input", REAL), ("cached_input", REAL),
    ("output", REAL),
)  # fmt: skip
_PRICES: Final = pa.schema([pa.field(name, kind) for name, kind in _PRICE_COLUMNS])

LEDGER: Final[dict[str, pa.Schema]] = {
    name: pa.schema([pa.field(n, kind, metadata={"description": d}) for n, kind, d in columns])
    for name, columns in (("runs", _RUNS), ("failures", _FAILURES))
}
"""Ledger table -> Arrow schema; each field's metadata holds its `description`."""


def prices_table(prices: Sequence[Price]) -> pa.Table:
    """Return prices as a table, for the view `costs`."""
    columns = zip(*map(astuple, prices), strict=True) if prices else [[] for _ in _PRICES]
    return pa.table([list(column) for column in columns], schema=_PRICES)


def ledger_tables(state: LakeState) -> dict[str, pa.Table]:
    """Return the ledger of a state; what is missing or empty is NULL."""
    runs = sorted(state.runs.values(), key=lambda run: (run.started_at, run.run_id, run.source))
    failures = sorted(state.failures.values(), key=lambda failure: failure.key)
    return {"runs": _table("runs", runs), "failures": _table("failures", failures)}


def _table(name: str, structs: list[Any]) -> pa.Table:
    return pa.table(
        [_column(field, structs) for field in LEDGER[name]],
        schema=LEDGER[name],
    )


def _column(field: pa.Field[Any], structs: list[Any]) -> pa.Array[Any]:
    if field.name == "created_at":  # the API's own clock: whole seconds
        seconds = [s.created for s in structs]
        micros = [None if s is None else s * 1_000_000 for s in seconds]
        return pa.array(micros, pa.int64()).view(TIME)
    values = [getattr(struct, field.name) for struct in structs]
    if field.type == _COUNTS:
        return pa.array([list(value.items()) or None for value in values], _COUNTS)
    if field.type == TIME:
        return pa.array([parse_time(value) if value else None for value in values], TIME)
    if field.type == TEXT:
        return pa.array([value or None for value in values], TEXT)
    return cast("pa.Array[Any]", pa.array(values, field.type))
