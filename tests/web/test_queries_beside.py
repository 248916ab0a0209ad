"""Queries that run beside a page's own: on the same commit, in the same bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.lake import Lake
from chatlake.web.browse.catalogue import Catalogue, Session, TooSlowError
from tests.reading_lake import completion, store

ENDLESS = "SELECT count(*) FROM range(10_000_000_000) a, range(1_000) b WHERE a.range % 7 = 8"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Store one completion."""
    made = Lake.open(tmp_path / "lake", create=True)
    store(made, [(completion("first", "2026-02-01T10:00"), [])])
    return made


@pytest.fixture
def catalogue(lake: Lake) -> Iterator[Catalogue]:
    """Open the lake with a patience of half a second."""
    opened = Catalogue(lake, patience_s=0.5)
    yield opened
    opened.close()


def test_a_query_beside_sees_the_same_commit(lake: Lake, catalogue: Catalogue) -> None:
    """A commit that arrives during a page is not in it, whichever thread asks."""
    count = "SELECT count(*) FROM completions"

    def page(session: Session) -> tuple[object, object]:
        store(lake, [(completion("second", "2026-02-01T11:00"), [])])
        with session.beside(lambda other: other.ask(count)) as beside:
            return session.ask(count), beside.result()

    assert catalogue.page(page) == ([(1,)], [(1,)])
    assert catalogue.page(lambda session: session.ask(count)) == [(2,)]


def test_a_query_beside_is_interrupted_with_its_page(catalogue: Catalogue) -> None:
    """The patience of a page bounds what runs beside it, even if the page itself only waits."""

    def page(session: Session) -> object:
        with session.beside(lambda other: other.ask(ENDLESS)) as beside:
            return beside.result()

    began = time.monotonic()
    with pytest.raises(TooSlowError):
        catalogue.page(page)
    assert time.monotonic() - began < 10


def test_a_page_that_was_interrupted_starts_nothing_beside(catalogue: Catalogue) -> None:
    """After the interruption neither the page nor another thread asks any more."""

    def page(session: Session) -> object:
        session.interrupt()
        with session.beside(lambda other: other.ask("SELECT 1")) as beside:
            return beside.result()

    with pytest.raises(TooSlowError):
        catalogue.page(page)


def test_files_that_moved_under_a_query_beside_make_the_page_again(
    lake: Lake, catalogue: Catalogue
) -> None:
    """A page whose files have been replaced is made again with the new catalogue."""
    tries: list[int] = []

    def page(session: Session) -> object:
        tries.append(len(tries))
        if len(tries) == 1:
            for file in Path(lake.location, "messages").rglob("*.parquet"):
                file.rename(file.with_suffix(".moved"))
        else:
            for file in Path(lake.location, "messages").rglob("*.moved"):
                file.rename(file.with_suffix(".parquet"))
        with session.beside(lambda other: other.ask("SELECT count(text) FROM messages")) as beside:
            return beside.result()

    assert catalogue.page(page) == [(1,)]
    assert tries == [0, 1]
