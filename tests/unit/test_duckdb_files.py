"""What is raised while DuckDB reads a bucket through Python, of which it keeps the text alone."""

from __future__ import annotations

import duckdb
import pytest

from chatlake.errors import (
    LakeDamagedError,
    LakeUnreachableError,
    RunInterruptedError,
    RunTerminatedError,
)
from chatlake.lake.catalog.duckdb_files import raised_while_reading
from chatlake.lake.catalog.lake_files import LakeFiles
from chatlake.storage.memory import MemoryStorage


class Failing(MemoryStorage):
    """A bucket of which reading raises, as the handler of a signal does in the main thread."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("s3://bucket/lake")
        self._error = error

    def size(self, path: str) -> int | None:
        """Raise."""
        raise self._error


def failure(error: BaseException) -> duckdb.Error:
    """Return what DuckDB makes of an error while it reads."""
    with duckdb.connect() as connection:
        connection.register_filesystem(LakeFiles(Failing(error)))
        with pytest.raises(duckdb.Error) as caught:
            connection.execute("FROM read_parquet('s3://bucket/lake/a.parquet')")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(143),
        RunInterruptedError("stopped by a signal"),
        RunTerminatedError("stopped by a signal"),
    ],
    ids=repr,
)
def test_a_signal_ends_the_command(error: BaseException) -> None:
    """What the handler raised is raised again, not reported as damage of the lake."""
    raised = failure(error)
    with pytest.raises(type(error)) as caught:
        raised_while_reading(raised)
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("KeyboardInterrupt: ", KeyboardInterrupt),
        ("KeyboardInterrupt", KeyboardInterrupt),
        ("SystemExit: 143", SystemExit),
        ("RunTerminatedError: stopped", RunTerminatedError),
        ("chatlake.errors.RunTerminatedError: stopped", RunTerminatedError),
        ("chatlake.errors.RunInterruptedError: stopped", RunInterruptedError),
    ],
)
def test_a_signal_is_known_as_each_python_writes_it(line: str, kind: type[BaseException]) -> None:
    """Python 3.13 names the module, and leaves out the colon where there is no message."""
    with pytest.raises(kind):
        raised_while_reading(duckdb.Error(f'Traceback:\n  File "a.py", line 1\n{line}\n\nLINE 1'))


@pytest.mark.parametrize("kind", [LakeDamagedError, LakeUnreachableError])
def test_an_error_of_the_lake_is_the_same_again(kind: type[LakeDamagedError]) -> None:
    """Its kind decides the exit code, its message names the file."""
    raised = raised_while_reading(failure(kind("a.parquet is missing")))
    assert type(raised) is kind
    assert raised.message == "a.parquet is missing"


@pytest.mark.parametrize("path", ["s3://bucket/lake/a.parquet", ""])
def test_no_file_ever_changes(path: str) -> None:
    """Two looks at any path give the same time, so DuckDB keeps what it has read."""
    files = LakeFiles(MemoryStorage("s3://bucket/lake"))
    assert files.modified(path) == files.modified(path)
