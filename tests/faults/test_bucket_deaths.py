"""A forgetting and a copy that die at any step in a bucket.

The store is in memory, so every step can be tried; `tests/integration/test_trust_together.py` kills
real processes at some.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake, tidy_lake
from chatlake.lake import Lake
from chatlake.lake.copying import copy_lake
from chatlake.verify.run import verify
from tests.fake_store import FakeStore, dying_at, lake_on
from tests.lake_bytes import files_with
from tests.lake_writer import commit

pytestmark = pytest.mark.slow

GONE, STAYS = "forget-me-in-a-bucket-1", "words-that-stay-1"
CATALOG = ["catalog.built", "catalog.written", "catalog.swapped"]
TIDYING = ["tidying.started", "tidying.erased", "tidying.ended"]
FORGETTING = [
    "part.written", "part.renamed", "forget.rewritten", "commit.started", "manifest.written",
    "manifest.linked", "commit.applied", "forget.committed", *CATALOG, *TIDYING,
]  # fmt: skip
COPY = [
    "part.written", "part.renamed", "checkpoint.written", "checkpoint.linked", "manifest.written",
    "manifest.linked", *CATALOG, *TIDYING,
]  # fmt: skip


@pytest.fixture(scope="module")
def filled() -> FakeStore:
    """Make a store with a lake of two completions, merged, one of which is to be forgotten."""
    store = FakeStore()
    store.now = datetime.now(UTC)
    lake = lake_on(store)
    lake.create()
    fill(lake)
    compact_lake(lake)
    return store


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FakeStore]:
    """Make a lake in a folder, and a copy of it in a store from before it forgot a completion."""
    store = FakeStore()
    store.now = datetime.now(UTC)
    lake_on(store).create()
    lake = Lake.open(tmp_path_factory.mktemp("copied") / "lake", create=True)
    fill(lake)
    compact_lake(lake)
    copy_lake(lake, lake_on(store), run_id="1")
    forget_choice(lake, Choice((GONE,)), reason="asked")
    return Path(lake.location), store


def fill(lake: Lake) -> None:
    """Commit what is to be forgotten, and something else."""
    for key in (STAYS, GONE):
        with lake.lock():
            commit(lake, key)


def shown(lake: Lake) -> set[str]:
    """Return the completions whose messages the views show."""
    with lake.connect() as connection:
        found = connection.execute("SELECT DISTINCT completion_id FROM messages").fetchall()
    return {key for (key,) in found}


@pytest.mark.parametrize("point", FORGETTING)
def test_a_forgetting_that_dies(filled: FakeStore, point: str) -> None:
    """Before the commit nothing has changed; after it the next writer ends what was begun."""
    store = filled.twin()
    with dying_at(store, point):
        forget_choice(lake_on(store), Choice((GONE,)), reason="asked")

    after = lake_on(store)
    is_committed = bool(after.state.forgotten)
    assert shown(after) == ({STAYS} if is_committed else {STAYS, GONE})
    assert verify(after).findings == []
    if is_committed:
        tidy_lake(after)
    else:
        assert forget_choice(after, Choice((GONE,)), reason="asked") is not None
    assert files_with(after, GONE) == set()
    assert verify(lake_on(store)).findings == []


@pytest.mark.parametrize("point", COPY)
def test_a_copy_that_dies(copied: tuple[Path, FakeStore], point: str) -> None:
    """It shows the commit before or the one after; the next copy ends it, forgetting included."""
    lake, store = Lake.open(copied[0]), copied[1].twin()
    with dying_at(store, point):
        copy_lake(lake, lake_on(store), run_id="2")

    assert shown(lake_on(store)) in ({STAYS, GONE}, {STAYS})
    copy_lake(lake, lake_on(store), run_id="3")
    after = lake_on(store)
    assert files_with(after, GONE) == set()
    assert verify(after).findings == []
    assert after.state.number == lake.state.number
