"""The queries of a report on the lake's views, and their results."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any, Final

import duckdb

from chatlake.web.report.facts import Changes, Period, Touched
from chatlake.web.report.usage import Growth, Quality, Usage, UsageFacts

MOST_TOUCHED: Final = 50
"""The most deleted and changed completions that are listed."""
MOST_VALUES: Final = 12
"""The most values of the metadata key that are shown; the others are summed."""
OTHERS: Final = "(other values)"
_SUMS: Final = """
    count(*), coalesce(sum(prompt_tokens), 0)::BIGINT, coalesce(sum(cached_tokens), 0)::BIGINT,
    coalesce(sum(completion_tokens), 0)::BIGINT,
    count(*) FILTER (prompt_tokens IS NULL AND completion_tokens IS NULL)
"""


class Views:
    """The views of one catalogue, limited to a period for usage."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, period: Period | None) -> None:
        self._connection = connection
        self._within = self._within_time = "true"
        if period is not None:
            first, end = period.first, period.end
            self._within = f"created_date >= DATE '{first}' AND created_date < DATE '{end}'"
            self._within_time = (
                f"created_at >= TIMESTAMPTZ '{first} 00:00:00Z'"
                f" AND created_at < TIMESTAMPTZ '{end} 00:00:00Z'"
            )
        tables = self._ask("SELECT schema_name, table_name FROM duckdb_tables()")
        views = self._ask("SELECT view_name FROM duckdb_views() WHERE NOT internal")
        self.has_costs = ("costs",) in views
        has_prices = self.has_costs and ("ledger", "prices") in tables
        self._prices = self._number("SELECT count(*) FROM ledger.prices") if has_prices else 0

    def commit(self) -> int:
        """Return the commit that the views show."""
        return self._number("SELECT number FROM ledger.lake")

    def counts(self) -> dict[str, int]:
        """Return rows, parts and distinct images by name; `daily_…` are sums of `daily_usage`."""
        rows, deleted = self._row("SELECT count(*), count(deleted_at) FROM completions")
        parts, embedded, distinct = self._row(
            "SELECT count(*), count(image_sha256), count(DISTINCT image_sha256) FROM image_parts"
        )
        completions, messages, images = self._row(
            "SELECT coalesce(sum(completions), 0)::BIGINT, coalesce(sum(messages), 0)::BIGINT,"
            " coalesce(sum(images), 0)::BIGINT FROM daily_usage"
        )
        return {
            "completions": rows,
            "deleted": deleted,
            "messages": self._number("SELECT count(*) FROM messages"),
            "content_parts": self._number("SELECT count(*) FROM content_parts"),
            "image_parts": parts,
            "embedded": embedded,
            "distinct_images": distinct,
            "images": self._number("SELECT count(*) FROM images"),
            "daily_completions": completions,
            "daily_messages": messages,
            "daily_images": images,
        }

    def stored(self, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of these completions (source, id) that the lake has."""
        if not keys:
            return set()
        ids = sorted({completion_id for _, completion_id in keys})
        found = self._ask(
            "SELECT source, completion_id FROM completions"
            " WHERE completion_id IN (SELECT unnest($ids::VARCHAR[]))",
            {"ids": ids},
        )
        return {(source, key) for source, key in found} & set(keys)

    def daily_completions(self) -> tuple[tuple[date, int], ...]:
        """Return how many completions each UTC day has, oldest first, whatever the period."""
        return tuple(
            self._ask(
                "SELECT created_date, sum(completions)::BIGINT FROM daily_usage"
                " WHERE created_date > DATE '1970-01-01' GROUP BY 1 ORDER BY 1"
            )
        )

    def changes(self) -> Changes:
        """Return what was deleted and changed, and list the newest."""
        deleted = self._ask(
            "SELECT source, completion_id, created_date, model, deleted_at FROM completions"  # noqa: S608 - of constants
            f" WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, completion_id"
            f" LIMIT {MOST_TOUCHED}"
        )
        completions, versions = self._row(
            "SELECT count(DISTINCT (source, completion_id)), count(*) FROM completion_history"
            " WHERE change = 'changed'"
        )
        changed = self._ask(
            "SELECT h.source, h.completion_id, max(c.created_date), max(c.model), h.noticed FROM ("  # noqa: S608 - of constants
            "SELECT source, completion_id, max(observed_at) AS noticed FROM completion_history"
            " WHERE change = 'changed' GROUP BY source, completion_id"
            f" ORDER BY noticed DESC, completion_id LIMIT {MOST_TOUCHED}) AS h"
            " LEFT JOIN completions AS c USING (source, completion_id)"
            " GROUP BY h.source, h.completion_id, h.noticed"
            " ORDER BY h.noticed DESC, h.completion_id"
        ) if versions else []  # fmt: skip
        return Changes(
            tuple(Touched(*row) for row in deleted),
            completions,
            versions,
            tuple(Touched(*row) for row in changed),
        )

    def usage(self) -> UsageFacts:
        """Return tokens and dollars of the period."""
        key = self._most_used_key()
        values, count, unlabelled = ((), 0, Usage()) if key is None else self._by_value(key)
        return UsageFacts(self._prices, self._daily(), key, values, count, unlabelled)

    def _daily(self) -> tuple[tuple[date, str | None, Usage], ...]:
        rows = self._ask(
            f"SELECT created_date, model, {_SUMS}, {self._costs()} FROM {self._source()}"  # noqa: S608 - of constants
            f" WHERE {self._within} GROUP BY created_date, model ORDER BY created_date, model"
        )
        return tuple((day, model, Usage(*rest)) for day, model, *rest in rows)

    def _most_used_key(self) -> str | None:
        """Return the key that most completions have; ids, which nearly all differ, come last."""
        rows = self._ask(
            "SELECT key FROM (SELECT unnest(map_keys(metadata)) AS key,"  # noqa: S608 - of constants
            f" unnest(map_values(metadata)) AS value FROM completions WHERE {self._within})"
            " GROUP BY key ORDER BY (count(*) > 20 AND 2 * count(DISTINCT value) > count(*)),"
            " count(*) DESC, count(DISTINCT value), key LIMIT 1"
        )
        return str(rows[0][0]) if rows else None

    def _by_value(self, key: str) -> tuple[tuple[tuple[str, Usage], ...], int, Usage]:
        rows = self._ask(
            f"SELECT list_first(map_extract(metadata, $key)) AS value, {_SUMS}, {self._costs()}"  # noqa: S608 - of constants
            f" FROM {self._source()} WHERE {self._within} GROUP BY 1"
            " ORDER BY sum(total_tokens) DESC NULLS LAST, count(*) DESC, 1",
            {"key": key},
        )
        unlabelled = sum((Usage(*rest) for value, *rest in rows if value is None), Usage())
        labelled = [(str(value), Usage(*rest)) for value, *rest in rows if value is not None]
        shown = labelled[:MOST_VALUES]
        if len(labelled) > MOST_VALUES:
            shown.append((OTHERS, sum((each for _, each in labelled[MOST_VALUES:]), Usage())))
        return tuple(shown), len(labelled), unlabelled

    def _source(self) -> str:
        if not self.has_costs:
            return "completions"
        columns = "source, created_date, completion_id, dollars"
        joined = "USING (source, created_date, completion_id)"
        return f"completions LEFT JOIN (SELECT {columns} FROM costs) AS c {joined}"  # noqa: S608 - of constants

    def _costs(self) -> str:
        """Return the two columns: completions without a price, and dollars."""
        if not self.has_costs:
            return "count(*), NULL::DOUBLE"
        return "count(*) FILTER (dollars IS NULL), sum(dollars)"

    def quality(self) -> Quality:
        """Return how the replies of the period ended."""
        outputs = f"FROM messages WHERE direction = 'output' AND {self._within}"
        reasons = self._ask(
            f"SELECT finish_reason, count(*) {outputs} GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        choices, refusals = self._row(f"SELECT count(*), count(*) FILTER (refusal <> '') {outputs}")
        calls, invalid = self._row(
            "SELECT count(*), count(*) FILTER (arguments IS NULL AND arguments_text IS NOT NULL)"  # noqa: S608 - of constants
            " FROM tool_calls WHERE direction = 'output' AND tool_type IS DISTINCT FROM 'custom'"
            f" AND {self._within_time}"
        )
        return Quality(tuple(reasons), choices, refusals, calls, invalid)

    def growth(self) -> Growth:
        """Return completions by the day on which a backup first stored them, and bytes by run."""
        stored = self._ask(
            "SELECT first_seen_at::DATE, count(*) FROM completions GROUP BY 1 ORDER BY 1"
        )
        added = self._ask(
            "SELECT coalesce(finished_at, started_at)::DATE, sum(bytes_added)::BIGINT FROM runs"
            " GROUP BY 1 ORDER BY 1"
        )
        return Growth(tuple(stored), tuple(added))

    def _number(self, sql: str) -> int:
        return int(self._row(sql)[0])

    def _row(self, sql: str) -> tuple[Any, ...]:
        return self._ask(sql)[0]

    def _ask(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql, parameters or {}).fetchall())
