"""A forger rewrites every hash; the chain of commits and `raw` still reveal it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake.errors import UsageError
from chatlake.lake import Lake
from chatlake.lake.manifests import manifest_path, read_head
from chatlake.lake.sealed import seal
from chatlake.model.manifest import Manifest
from chatlake.verify.derived import DERIVED
from chatlake.verify.expectation import Expectation
from chatlake.verify.run import VerifyReport, verify_storage
from tests.faults.forged import forge_row, link_again
from tests.faults.verify_lakes import back_up, check, copy, only, paths

pytestmark = pytest.mark.slow

# Names and places of rows, which no object states. The other columns follow from raw.
FREE = {"completion_id", "message_id", "message_index", "part_index", "raw", "raw_exact"}
COLUMNS = [(table, name) for table, names in DERIVED.items() for name in names if name not in FREE]
# Columns of which these lakes have no example, or which another check reports first.
NAMED_BY_COUNTS = {"message_count", "image_count", "part_count"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up once what tests forge in copies."""
    return back_up(tmp_path_factory.mktemp("stored"), completions=24, days=1)


@pytest.fixture
def lake(stored: Path, tmp_path: Path) -> Path:
    """Return a copy to forge."""
    return copy(stored, tmp_path)


def expect(lake: Path, fingerprint: str) -> VerifyReport:
    """Verify a lake against a fingerprint."""
    return verify_storage(
        Lake.open(lake).storage,
        expectation=Expectation.parse(fingerprint),
        pause=lambda _: None,
    )


def fingerprint(lake: Path) -> str:
    """Return what a backup or `chatlake status` prints."""
    opened = Lake.open(lake)
    head = read_head(opened.storage, opened.state.number)
    assert head is not None
    return head.fingerprint


def another(value: Any) -> Any:
    """Return another value of the same type, however small the difference."""
    if value is None or isinstance(value, str):
        return f"{value or ''}!"
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, list):
        return value[:-1] or None
    return value + (timedelta(microseconds=1) if not isinstance(value, int | float) else 1)


@pytest.mark.sample(12)
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_column_that_says_something_else_than_raw(lake: Path, table: str, column: str) -> None:
    """For each derived column, with all hashes and links right: file, column and row are named."""
    file = Lake.open(lake).state.table_files(table)[0]
    key = "completion_id" if table == "completions" else "message_id"
    forged: list[str] = []

    def change(row: dict[str, Any]) -> dict[str, Any] | None:
        if row[column] is None or column == "direction":
            return None
        forged.append(row[key])
        return row | {column: another(row[column])}

    def invent(row: dict[str, Any]) -> dict[str, Any]:
        forged.append(row[key])
        return row | {column: INVENTED.get(column, "invented")}

    if not forge_row(lake, file, change):  # no row has a value
        forge_row(lake, file, invent)
    link_again(lake)

    report = check(lake)

    assert file.path in paths(report), report.findings
    kinds = {finding.kind for finding in report.findings}
    assert kinds <= {"derived", "count", "range", "image"}, report.findings
    if column not in NAMED_BY_COUNTS and not kinds & {"range", "image"}:
        named = [f.problem for f in report.findings if f.problem.startswith(f"{column} of 1 row ")]
        assert named, report.findings
        assert forged[0] in named[0]


INVENTED: dict[str, Any] = {
    "cached_tokens": 7, "reasoning_tokens": 7, "prompt_tokens": 7, "seed": 7, "temperature": 0.5,
    "choice_index": 7, "image_bytes": 7, "invalid_argument_calls": [0], "metadata": [("a", "b")],
    "direction": "sideways", "tool_calls": "[]", "tools": "[]", "tool_choice": '"auto"',
    "response_format": "{}",
}  # fmt: skip


def test_a_text_changed_in_raw_and_columns_alike(lake: Path) -> None:
    """The fingerprint shows that a reply was changed everywhere and all commits linked again."""
    before = fingerprint(lake)
    assert check(lake).findings == []
    file = Lake.open(lake).state.table_files("messages")[0]

    def change(row: dict[str, Any]) -> dict[str, Any] | None:
        if row["direction"] != "input" or not row["content"] or row["part_count"] != 1:
            return None
        raw = json.loads(row["raw"])
        if raw.get("content_parts"):
            return None
        return row | {"raw": json.dumps(raw | {"name": "forged"}), "name": "forged"}

    forge_row(lake, file, change)
    link_again(lake)

    assert check(lake).findings == [], "nothing inside the lake tells of it"
    finding = only(expect(lake, before))
    assert (finding.path, finding.kind) == ("manifests", "rewritten")
    assert before in finding.problem


def test_a_commit_that_was_rewritten_without_the_later_ones(lake: Path) -> None:
    """The next commit names another one: no fingerprint is needed to see that."""
    file = Lake.open(lake).state.table_files("completions")[0]
    forge_row(lake, file, lambda row: row | {"run_id": "forged"})

    report = check(lake)

    added_by = next(
        number for number in range(1, 40) if file.path in (lake / manifest_path(number)).read_text()
    )
    assert [f.kind for f in report.findings] == ["rewritten"], report.findings
    assert report.findings[0].path == manifest_path(added_by + 1)


def test_a_fingerprint_of_the_past_is_found_after_more_commits(lake: Path) -> None:
    """Commits may follow, merges too: the lake still has the commit, and says which it is."""
    noted = fingerprint(lake)
    opened = Lake.open(lake)
    at = opened.state.number
    with opened.lock():
        for _ in range(40):
            opened.commit(Manifest())

    report = expect(lake, noted)

    assert report.findings == []
    assert report.expectation == Expectation(noted, at)
    assert f"at commit {at}, 40 commits ago" in report.notes[0]
    assert fingerprint(lake) != noted


def test_a_lake_that_was_put_back_to_an_earlier_state(lake: Path) -> None:
    """A copy from before lacks the commit, though everything in it is sound."""
    opened = Lake.open(lake)
    number = opened.state.number
    with opened.lock():
        opened.commit(Manifest())
    noted = fingerprint(lake)
    (lake / manifest_path(number + 1)).unlink()
    (lake / "catalog.duckdb").unlink()
    (lake / "verified.json").unlink(missing_ok=True)

    assert check(lake).findings == []
    assert only(expect(lake, noted)).kind == "rewritten"


def test_commits_of_an_older_chatlake_are_not_proved(lake: Path) -> None:
    """A lake without links is sound, and a fingerprint says how far it proves anything."""
    for path in sorted((lake / "manifests").glob("0*.json")):
        text = path.read_text()
        document = json.loads(text)
        del document["sha256"], document["previous"]
        path.write_bytes(seal(json.dumps(document, separators=(",", ":")).encode()))
    opened = Lake.open(lake)
    unlinked = opened.state.number
    with opened.lock():
        opened.commit(Manifest())
        opened.commit(Manifest())

    report = expect(lake, fingerprint(lake))

    assert report.findings == []
    assert f"does not cover the commits before {unlinked}" in report.notes[1]


@pytest.mark.parametrize("text", ["", "9f86d081884", "9f86d081884g", "9f86 d081884c", "a" * 65])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    """Too few digits would match by chance; exit code 2."""
    with pytest.raises(UsageError) as caught:
        Expectation.parse(text)
    assert "--expect" in caught.value.message
