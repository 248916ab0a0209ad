"""A lake of mixed completions from the simulator, for the tests of exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatlake.bootstrap.opened import open_lake
from chatlake.lake.lake import Lake
from chatlake.simulator import Faults, Scenario, running
from tests.support import NOW, backup, settings_for, write_config


def mixed_lake(folder: Path, *, readers: int, plain: int) -> Lake:
    """Back up two sources, `readers` and `plain`, into one lake; `chatlake.yaml` stands beside."""
    with (
        running(Scenario(completions=readers, seed=11, now=NOW, mix="readers"), Faults()) as first,
        running(
            Scenario(completions=plain, seed=12, now=NOW, image_share=0.2, odd_text=True), Faults()
        ) as second,
    ):
        for name, server in (("readers", first), ("plain", second)):
            settings = settings_for(folder, server.base_url, name=name)
            assert backup(settings).status == "complete"
        write_config(folder, second.base_url, name="plain")
    return open_lake(settings)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def report_of(path: Path) -> dict[str, Any]:
    """Return the report beside an output."""
    report: dict[str, Any] = json.loads(Path(f"{path}.report.json").read_bytes())
    return report
