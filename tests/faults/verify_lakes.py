"""A lake with every kind of file, for the tests that damage one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from chatlake.bootstrap.backup import open_lake
from chatlake.lake import Lake
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest, PartFile
from chatlake.model.partitions import Partition
from chatlake.simulator import Scenario, running
from chatlake.storage.interface import Storage
from chatlake.verify.findings import VerifyReport
from chatlake.verify.run import Finding, Subset, verify_storage
from tests import lake_rows
from tests.support import NOW, backup, settings_for

TABLES = ("completions", "messages", "content_parts", "images", "history", "missed")


def back_up(folder: Path, *, completions: int = 300, days: int = 4) -> Path:
    """Back up completions into a lake: changed ones, missed ones, and a checkpoint too."""
    scenario = Scenario(completions=completions, seed=17, days=days, now=NOW, image_share=0.3)
    with running(scenario) as server:
        settings = settings_for(folder, server.base_url)
        backup(settings)
        ids = server.ids()
        for number in (1, completions // 3, completions // 2):
            server.edit(ids[number], {"edited": "yes"})
        server.delete(ids[completions // 6])
        server.grow(20)
        backup(settings, full=True)
    lake = open_lake(settings)
    with lake.lock():
        while lake.state.number < CHECKPOINT_EVERY + 2:
            lake.commit(Manifest())
    assert {file.table for file in lake.state.files.values()} == set(TABLES)
    return Path(lake.location)


def copy(lake: Path, folder: Path) -> Path:
    """Copy a lake, to damage it; its catalogue is still of the place before."""
    return Path(shutil.copytree(lake, folder / "lake"))


def check(lake: Path, subset: str | None = None) -> VerifyReport:
    """Verify a lake without a pause between attempts."""
    return check_storage(Lake.open(lake).storage, subset)


def check_storage(storage: Storage, subset: str | None = None) -> VerifyReport:
    """Verify what a storage holds without a pause between attempts."""
    part = None if subset is None else Subset.parse(subset)
    return verify_storage(storage, subset=part, pause=lambda _: None)


def file_of(lake: Path, table: str, index: int = 0) -> PartFile:
    """Return one of the listed files of a table."""
    return Lake.open(lake).state.table_files(table)[index]


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    """Write other bytes into a file, in place."""
    path.write_bytes(how(path.read_bytes()))


def paths(report: VerifyReport) -> set[str]:
    """Return the files that were found damaged; each finding says what is wrong and what to do."""
    assert all(finding.problem and finding.remedy for finding in report.findings)
    return {finding.path for finding in report.findings}


def only(report: VerifyReport) -> Finding:
    """Return the finding of a report that has but one."""
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def commit(lake: Lake, rows: dict[str, list[dict[str, object]]], **more: object) -> list[PartFile]:
    """Commit rows of some tables to the partition of `lake_rows`; return the files."""
    day: Partition = lake_rows.DAY
    found = {(table, day): lake_rows.columns(table, some) for table, some in rows.items() if some}
    files = lake.write_parts(found)
    lake.commit(Manifest(added=files, **more))  # type: ignore[arg-type]
    return files
