"""A process that writes to a lake, for tests that kill it.

python -m tests.lake_writer LAKE KEY…              commit one completion with two messages per KEY
python -m tests.lake_writer LAKE --unlocked KEY…   the same, racing others without the lock
python -m tests.lake_writer LAKE --hold            take the lock, report it, and wait to be killed
python -m tests.lake_writer LAKE --compact         merge small files
python -m tests.lake_writer LAKE --vacuum          remove what no manifest lists
python -m tests.lake_writer LAKE --forget KEY…     erase completions for good
python -m tests.lake_writer LAKE --expire          erase the days that are older than a day
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from chatlake.bootstrap.forgetting import Choice, forget_choice, forget_expired
from chatlake.bootstrap.maintenance import compact_lake, vacuum_lake
from chatlake.errors import CommitConflictError
from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from tests import lake_rows as rows


def commit(lake: Lake, key: str) -> None:
    """Commit a completion and its two messages, in two tables and one manifest."""
    messages = [rows.message(key, 0), rows.message(key, 1)]
    found = {
        ("completions", rows.DAY): rows.columns("completions", [rows.completion(key)]),
        ("messages", rows.DAY): rows.columns("messages", messages),
    }
    manifest = Manifest(added=lake.write_parts(found))
    while True:
        try:
            return lake.commit(manifest)
        except CommitConflictError:
            lake.refresh()


def run(location: str, *words: str) -> None:
    """Do what the words say."""
    lake = Lake.open(location)
    if words == ("--hold",):
        with lake.lock("held"):
            print("held", flush=True)
            time.sleep(60)
    elif words == ("--compact",):
        compact_lake(lake)
    elif words == ("--vacuum",):
        vacuum_lake(lake, timedelta(0))
    elif words == ("--expire",):
        forget_expired(lake, timedelta(days=1))
    elif words[0] == "--forget":
        forget_choice(lake, Choice(words[1:]), reason="test")
    elif words[0] == "--unlocked":
        for key in words[1:]:
            commit(lake, key)
    else:
        with lake.lock("writer"):
            for key in words:
                commit(lake, key)


if __name__ == "__main__":
    run(*sys.argv[1:])
