"""The list of a completion's versions on its page: which are shown, and what differs."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from chatlake.web.browse import versions
from chatlake.web.browse.versions import Version, versions_of

KEY = {"id": "chatcmpl-1", "source": "main", "day": "2026-01-31"}
CHANGED = {"first_seen_us": 1, "synced_us": 2, "deleted_us": None}


class AskedHere:
    """A session on a history in memory with these rows (change, raw), one a second."""

    def __init__(self, rows: list[tuple[str, dict[str, Any]]]) -> None:
        self._views = duckdb.connect()
        self._views.execute(
            "CREATE TABLE completion_history (completion_id VARCHAR, source VARCHAR,"
            " created_date DATE, observed_at TIMESTAMPTZ, change VARCHAR, raw JSON)"
        )
        for second, (change, raw) in enumerate(rows):
            self._views.execute(
                "INSERT INTO completion_history VALUES (?, ?, ?, to_timestamp(?), ?, ?)",
                [*KEY.values(), second, change, json.dumps(raw)],
            )

    def ask(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self._views.execute(query, parameters).fetchall()


def listed(rows: list[tuple[str, dict[str, Any]]]) -> tuple[list[Version], int]:
    """Return what the page lists of these rows, and how many older ones it does not."""
    session: Any = AskedHere(rows)
    return versions_of(session, KEY, CHANGED)


def edits(number: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of a completion with this many versions."""
    return [("changed" if n else "created", {"n": n}) for n in range(number)]


def test_of_many_versions_the_newest_are_listed() -> None:
    """Of 60, versions 11 to 60 are listed; only the last is the present one; 10 are older."""
    found, older = listed(edits(60))
    assert older == 10
    assert [each.number for each in found] == [*range(11, 60), None]
    assert [each.observed_us for each in found] == [n * 1_000_000 for n in range(10, 60)]


def test_the_oldest_listed_version_is_compared_with_the_one_before() -> None:
    """Version 11 of 60 differs from version 10, which is not listed."""
    found, _ = listed(edits(60))
    assert [(change.before, change.after) for change in found[0].changes] == [("9", "10")]


@pytest.mark.parametrize("number", [2, 49, 50])
def test_as_many_as_fit_are_all_listed(number: int) -> None:
    """Up to 50 versions are all listed, and the last is the present one."""
    found, older = listed(edits(number))
    assert older == 0
    assert [each.number for each in found] == [*range(1, number), None]


def test_a_deletion_is_not_a_version_of_its_own() -> None:
    """Of 60 versions and a deletion 50 rows are listed; the present version is the 60th still."""
    found, older = listed([*edits(60), ("deleted", {"n": 59})])
    assert older == 11
    assert [each.number for each in found] == [*range(12, 60), None, None]
    assert found[-1].change == "deleted"
    assert not found[-1].changes


def test_changes_that_are_not_shown_are_counted() -> None:
    """Of 20 changed values 12 are shown, and the page says how many are not."""
    before, after = ({f"key_{n}": value for n in range(20)} for value in ("old", "new"))
    found, _ = listed([("created", before), ("changed", after)])
    assert len(found[1].changes) == 12
    assert found[1].uncompared == "8 more changes not shown."


def test_a_version_that_is_too_large_is_said_to_be_uncompared() -> None:
    """Nothing is compared with a version of more than 200,000 characters, and the page says so."""
    found, _ = listed([("created", {"n": 1}), ("changed", {"n": "x" * versions._LARGEST})])
    assert not found[1].changes
    assert found[1].uncompared == "Too large to be compared with the previous version here."


def test_a_change_far_inside_a_text_is_shown() -> None:
    """Texts that differ after 500 characters show that place."""
    found, _ = listed(
        [("created", {"a": "x" * 500 + "old"}), ("changed", {"a": "x" * 500 + "new"})]
    )
    (change,) = found[1].changes
    assert change.before is not None
    assert change.after is not None
    assert change.before.startswith("…x")
    assert change.before.endswith("xold")
    assert change.after.endswith("xnew")
