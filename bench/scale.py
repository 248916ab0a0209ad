"""What grows with the number of files that a lake lists: opening, commits, catalogue, a query.

`python -m bench.scale --files 1000 10000 100000`: the files are links to a few small ones, of
ten sources over as many days as it takes. Prints one line for each size.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.bodies import Bodies, simulated
from chatlake.backup.rows import RowBuffer
from chatlake.lake import manifests
from chatlake.lake.catalog.build import build_catalog
from chatlake.lake.lake import Lake
from chatlake.model.compaction import choose
from chatlake.model.flatten import Observation, flatten
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest, PartFile
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.partitions import Partition
from chatlake.simulator.scenario import Scenario

T = TypeVar("T")
SOURCES = 10
TABLES = 4


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what `work` returns, and the CPU seconds that it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def small_files(lake: Lake) -> list[PartFile]:
    """Write one small file of each table."""
    bodies = Bodies.of(simulated(Scenario(completions=40, image_share=0.5)))
    buffer = RowBuffer(keep_images=True)
    for name, body in zip(bodies.ids, bodies.completions, strict=True):
        messages = read_message_page(bodies.messages_page(name, None, 100) or b"").items
        flat = flatten(read_completion(body), messages, Observation("run", 1, 1))
        buffer.add(Partition("source-0", "2026-01-01"), flat)
    return lake.write_parts(buffer.columns())


def linked(lake: Lake, originals: list[PartFile], count: int) -> list[PartFile]:
    """Return descriptions of `count` files, each a link to one of the originals."""
    root, found = Path(lake.location), []
    for number in range(count // TABLES):
        day = str(date(2026, 1, 1) - timedelta(days=number // SOURCES))
        partition = Partition(f"source-{number % SOURCES}", day)
        for file in originals:
            path = f"{file.table}/{partition.folder}/part-{number:08}.parquet"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(root / file.path, root / path)
            found.append(
                msgspec.structs.replace(
                    file, path=path, source=partition.source, created_date=partition.created_date
                )
            )
    return found


def measure(folder: Path, count: int) -> str:
    """Make a lake of so many files and return a line on it."""
    lake = Lake.open(folder / f"lake-{count}", create=True)
    files = linked(lake, small_files(lake), count)
    with lake.lock():
        for number in range(CHECKPOINT_EVERY):
            share = files[number::CHECKPOINT_EVERY]
            lake.commit(Manifest(run_id="scale", added=share))
    checkpoint = lake.storage.size(manifests.checkpoint_path(CHECKPOINT_EVERY)) or 0
    opened, open_s = timed(lambda: Lake.open(lake.location))
    _, missing_s = timed(opened.missing_files)
    _, choose_s = timed(lambda: choose(opened.state, date(2026, 1, 1)))
    data, catalog_s = timed(lambda: build_catalog(lake.storage, opened.state, lake.storage))
    with lake.lock():
        _, commit_s = timed(lambda: lake.commit(Manifest(run_id="scale")))
    with lake.connect() as connection:
        sql = "SELECT count(*) FROM completions WHERE created_date = DATE '2026-01-01'"
        began = time.perf_counter()
        connection.execute(sql).fetchall()
        day_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"| {count:,} | {checkpoint / 1e6:.1f} MB | {open_s:.2f} s | {missing_s:.2f} s | "
        f"{choose_s:.2f} s | {commit_s:.3f} s | {catalog_s:.2f} s | {len(data) / 1e6:.1f} MB | "
        f"{day_s:.2f} s | {peak} MB |"
    )


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description="A lake of many files")
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    print(
        "| files | checkpoint | open | stat all | choose merges | commit | build catalogue |",
        end="",
    )
    print(" catalogue | count of one day | peak memory |")
    with tempfile.TemporaryDirectory(prefix="chatlake-bench-") as folder:
        for count in given.files:
            print(measure(Path(folder), count), flush=True)


if __name__ == "__main__":
    main()
