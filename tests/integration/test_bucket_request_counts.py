"""How many requests a bucket gets: each one costs its owner time and money."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake, vacuum_lake
from chatlake.lake import Lake
from chatlake.lake.catalog.opening import empty_path
from chatlake.lake.files.parts import read_columns
from chatlake.model.tables import COLUMNS, COMPLETIONS
from chatlake.storage.opening import storage_at
from chatlake.verify.run import verify
from tests.lake_writer import commit
from tests.moto_server import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture
def lake(s3_lake: str) -> Lake:
    """Make a lake of two commits, each of two files."""
    lake = Lake.open(s3_lake, create=True)
    for key in "ab":
        add(lake, key)
    return lake


def add(lake: Lake, key: str) -> None:
    """Commit a completion."""
    with lake.lock():
        commit(lake, key)


def asked(s3: S3Server, part: str, work: Callable[[], object]) -> list[str]:
    """Return the methods of the requests for paths with this part, while some work is done."""
    s3.requests.clear()
    work()
    return [method for method, path in s3.requests if part in path]


def count(lake: Lake) -> None:
    """Ask the views for their completions."""
    with lake.connect() as connection:
        assert connection.execute("SELECT count(*) FROM completions").fetchall() == [(2,)]


def test_what_is_read_is_read_by_one_request(s3: S3Server, lake: Lake) -> None:
    """The size of a small file is in its manifest; `verify` reads each manifest once."""
    assert asked(s3, "/manifests/", lambda: verify(lake)) == ["GET"] * 2
    files = list(lake.state.table_files(COMPLETIONS))
    for file in files:
        read = partial(read_columns, lake.storage, file, "completion_id", "created_at")
        assert asked(s3, "/part-", read) == ["GET"]
    assert asked(s3, "/part-", partial(count, lake)) == ["GET"] * len(files)

    with lake.connect() as connection:
        compact_lake(Lake.open(lake.location))
        for file in files:  # where it is now
            assert lake.storage.size(file.path) is None
            assert len(read_columns(lake.storage, file, "completion_id")[0]) == 1
        assert connection.execute("SELECT count(*) FROM completions").fetchall() == [(2,)]


def test_empty_files_are_read_once_and_written_again(s3: S3Server, lake: Lake) -> None:
    """A catalogue reads none of them again; if one is lost meanwhile, the next writes it."""
    assert asked(s3, "/schema/", lambda: add(lake, "c")) == []
    lost = empty_path(COMPLETIONS)
    lake.storage.delete(lost)
    add(lake, "d")
    assert lake.storage.size(lost)
    assert verify(lake).findings == []
    assert len(list(lake.storage.list("schema"))) == len(COLUMNS)


def test_neither_unlisted_files_nor_empty_folders_take_more(s3: S3Server, lake: Lake) -> None:
    """A forgetting reads files that no manifest lists; a vacuum leaves their folder empty."""
    compact_lake(lake)
    forget = partial(forget_choice, lake, Choice(("b",)), reason="asked")
    assert "HEAD" not in asked(s3, "/part-", forget)
    vacuum_lake(lake, timedelta(0))
    for folder in ("replaced", "never", "manif"):
        assert asked(s3, "", lambda: list(lake.storage.list(folder))) == ["GET"]  # noqa: B023
        assert list(lake.storage.list(folder)) == []


@pytest.mark.parametrize("at_once", [5 << 30, 2])
def test_a_file_is_moved_under_any_name(
    s3: S3Server, s3_lake: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """It is copied by one request; one that is too large for that is left to the library."""
    monkeypatch.setattr("chatlake.storage.bucket.s3._COPIED_AT_ONCE_BYTES", at_once)
    storage = storage_at(s3_lake)
    old, new = "t/source=a%20b é+c/x=1&y.parquet", "replaced/t/source=a%20b é+c/x=1&y.parquet"
    storage.replace(old, b"abc")
    methods = asked(s3, "", lambda: storage.move({old: new}))
    assert methods[:2] == (["HEAD", "PUT"] if at_once > 2 else ["HEAD", "HEAD"])
    assert (storage.read(new), storage.size(old)) == (b"abc", None)
