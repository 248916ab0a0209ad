"""A year of nightly backups, simulated: how many files it leaves, and what merging them cost.

`python -m bench.year --nights 365 --night 500`: the whole engine, one run after the other, with the
clock moved from night to night; the server shows what had been created by then. Prints files a
table, bytes listed and not listed, and how much was written again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from bench.backups import KEY, configuration
from bench.measured import BenchError
from bench.servers import Server, serving
from chatlake.backup.ports import SilentObserver
from chatlake.bootstrap.backup import open_lake, run_backup
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings, load_settings


def back_up_at(settings: Settings, moment: datetime, expected: int) -> None:
    """Run one backup at that time; BenchError unless it finds as many new completions."""
    with time_machine.travel(moment, tick=True):
        report = run_backup(settings, jobs_for(settings), SilentObserver())
    run = report.sources[0].run
    if report.exit_code or run.new != expected:
        raise BenchError(f"the night of {moment:%Y-%m-%d} ended {report.status}, {run.new} new")


def tell(settings: Settings) -> None:
    """Print what the lake has become."""
    lake = open_lake(settings)
    files = lake.state.files.values()
    listed = sum(file.bytes for file in files)
    unlisted = sum(file.size for file in lake.leftovers())
    fetched = sum(run.bytes_added for run in lake.state.runs.values())
    print("files a table:", dict(Counter(file.table for file in files)))
    print(f"listed {listed / 1e6:.0f} MB, not listed {unlisted / 1e6:.0f} MB")
    again = (listed + unlisted - fetched) / max(1, fetched)
    print(f"written again: {again:.2f} of {fetched / 1e6:.0f} MB that runs had written")


def nights(server: Server, settings: Settings, count: int, night: int) -> None:
    """Run them all, the last one now."""
    began, now = time.monotonic(), datetime.now(UTC)
    for number in range(1, count + 1):
        server.show_only(number * night)
        back_up_at(settings, now - timedelta(days=count - number), night)
        if number % 50 == 0:
            print(f"{number} nights, {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    """Run the nights and tell."""
    parser = argparse.ArgumentParser(description="A year of nightly backups")
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--night", type=int, default=500, help="completions a night")
    given = parser.parse_args()
    os.environ.update(KEY)
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-bench-") as folder,
        serving(given.nights * given.night, days=given.nights) as server,
    ):
        settings = load_settings(configuration(Path(folder), server))
        nights(server, settings, given.nights, given.night)
        tell(settings)


if __name__ == "__main__":
    main()
