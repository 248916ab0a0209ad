"""The views of a year with a million messages, against the same files without them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.measured import BenchError, measured, python
from bench.results import Row, Target
from bench.stage import Stage

GROUP = "views"
BY_ID_MS = 50
WORDS = {"aggregate": "counting and adding up by role", "scan": "a search through all texts"}


def measure(stage: Stage) -> Iterator[Row]:
    """Yield queries of a view against `read_parquet`, the files of one day, a look-up by id."""
    lake = stage.year()
    found = json.loads(measured(python("-m", "bench.queries", lake)).output)
    if found["messages"] < 0.9 * stage.sizes.messages:
        raise BenchError(f"the lake has only {found['messages']:,} messages")
    for name, words in WORDS.items():
        view_s, files_s = found[name]
        yield Row(
            GROUP,
            f"the view against read_parquet, {found['messages']:,} messages: {words}",
            f"{1000 * view_s:.0f} ms",
            f"{1000 * files_s:.0f} ms",
            view_s / files_s,
            Target("at most", 1.1),
        )
    read, there_are = found["one_day"]
    yield Row(
        GROUP,
        f"files that a query of one day of {found['days']} reads",
        f"{read}",
        f"1 of {there_are}",
        read,
        Target("at most", 1.0),
        note="one of the files is the empty one that gives a view its types",
    )
    for name, seconds in found["by_id"].items():
        yield Row(
            GROUP,
            f"a completion by its id: {'its row' if name == 'completion' else 'its messages'}",
            f"{1000 * seconds:.0f} ms",
            f"{BY_ID_MS} ms",
            1000 * seconds / BY_ID_MS,
            Target("at most", 1.0),
        )
