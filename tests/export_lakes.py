"""A lake of mixed completions from the simulator, for the tests of exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatlake.backup.rows import RowBuffer
from chatlake.bootstrap.opened import open_lake
from chatlake.lake.lake import Lake
from chatlake.model.flatten import flatten
from chatlake.model.manifest import Manifest
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.partitions import Partition
from chatlake.simulator import Scenario
from chatlake.simulator.world import World
from tests.flat import SEEN, page_of
from tests.support import NOW, settings_for


def mixed_lake(folder: Path, *, readers: int, plain: int) -> Lake:
    """Store two sources, `readers` and `plain`, in one lake; `chatlake.yaml` stands beside.

    The completions are those that a backup of the simulator fetches, without the requests.
    """
    settings = settings_for(folder, "http://127.0.0.1:1/v1", name="plain")
    lake = open_lake(settings, create=True)
    with lake.lock():
        for name, scenario in (
            ("readers", Scenario(completions=readers, seed=11, now=NOW, mix="readers")),
            (
                "plain",
                Scenario(completions=plain, seed=12, now=NOW, image_share=0.2, odd_text=True),
            ),
        ):
            _store(lake, name, World(scenario))
    return open_lake(settings)


def _store(lake: Lake, source: str, world: World) -> None:
    buffer = RowBuffer(keep_images=True)
    for index in range(world.total):
        found = read_completion(world.completion(index))
        sent = world.messages(index, range(world.message_count(index)))
        items = read_message_page(page_of([each.decode() for each in sent])).items
        buffer.add(Partition.of(source, found.created), flatten(found, items, SEEN))
    lake.commit(Manifest(run_id=source, added=lake.write_parts(buffer.columns())))


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def report_of(path: Path) -> dict[str, Any]:
    """Return the report beside an output."""
    report: dict[str, Any] = json.loads(Path(f"{path}.report.json").read_bytes())
    return report
