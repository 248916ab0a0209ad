"""`kill -9` at each step of a whole backup: the next run ends equal to one that nothing disturbed."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake import failpoints
from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.simulator import Running, Scenario, running
from chatlake.verify.run import verify
from tests.command_line import ended, start
from tests.support import NOW, backup, settings_for

# A kill, unlike a power cut, leaves the same files before a sync and after it: `test_commit_killed`
# tries both sides of each.
POINTS = tuple(name for name in failpoints.NAMES if not name.endswith("synced"))
SCENARIO = Scenario(completions=50, seed=12, days=1.5, now=NOW, image_share=0.3, image_bytes=2000)
QUERIES = (
    "SELECT completion_id, deleted_at IS NULL, message_count, raw::VARCHAR FROM completions",
    "SELECT message_id, message_index, raw::VARCHAR FROM messages",
    "SELECT message_id, part_index, image_sha256, raw::VARCHAR FROM content_parts",
    "SELECT created_date, sha256, data FROM images",
    "SELECT completion_id, change, raw::VARCHAR FROM completion_history",
    "SELECT completion_id, reason FROM failures",
)
DOUBLED = """
    SELECT completion_id FROM completions GROUP BY ALL HAVING count(*) > 1 UNION ALL
    SELECT message_id FROM messages GROUP BY ALL HAVING count(*) > 1"""
UNCOUNTED = """
    SELECT completion_id FROM completions
    LEFT JOIN (SELECT completion_id, count(*) AS n FROM messages GROUP BY ALL) USING (completion_id)
    WHERE message_count <> coalesce(n, 0)"""
Prepared = tuple[Path, Running, list[list[tuple[Any, ...]]]]


def content(settings: Settings) -> list[list[tuple[Any, ...]]]:
    """Return the rows of every table, without what differs from run to run; duplicates fail."""
    with open_lake(settings).connect() as connection:
        for wrong in (DOUBLED, UNCOUNTED):
            assert connection.execute(wrong).fetchall() == []
        return [connection.execute(f"{query} ORDER BY ALL").fetchall() for query in QUERIES]


def settings_of(folder: Path, server: Running) -> Settings:
    """Return the configuration of a folder."""
    return settings_for(folder, server.base_url, full_sweep_every=None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A lake before a run with all there is to do, and what it holds after an undisturbed one.

    New, changed, returned and deleted completions (missed by one sweep already), and the commit
    of a checkpoint.
    """
    before, after = (tmp_path_factory.mktemp(name) for name in ("before", "after"))
    with running(SCENARIO) as server:
        settings = settings_of(before, server)
        ids = server.ids()
        backup(settings)
        server.delete(ids[3])
        server.hide(ids[20])
        backup(settings, full=True)
        backup(settings, full=True)
        server.delete(ids[4])
        backup(settings, full=True)
        server.reveal(ids[20])
        server.edit(ids[10], {"edited": "early"})
        server.edit(ids[-1], {"edited": "late"})
        server.grow(12)
        lake = open_lake(settings)
        with lake.lock():
            while lake.state.number < CHECKPOINT_EVERY - 1:
                lake.commit(Manifest())
        shutil.copytree(before / "lake", after / "lake")
        undisturbed = settings_of(after, server)
        assert backup(undisturbed, full=True).sources[0].run.deleted == 1
        yield before, server, content(undisturbed)


@pytest.mark.sample(1)
@pytest.mark.parametrize("point", [*POINTS, *(f"part.renamed:kill:{n}" for n in (2, 4, 7, 12))])
def test_a_backup_killed_at(prepared: Prepared, tmp_path: Path, point: str) -> None:
    """Readers see no mix, the next run needs no help, and what is left over is never read."""
    before, server, undisturbed = prepared
    shutil.copytree(before / "lake", tmp_path / "lake")
    settings = settings_of(tmp_path, server)
    setting = point if ":" in point else f"{point}:kill"
    env = {failpoints.VARIABLE: setting}
    killed = ended(start(tmp_path, "backup", "--full", env=env))
    assert killed.code == -signal.SIGKILL

    content(settings)  # whole, be it the commit before or after
    report = backup(settings, full=True)

    assert report.exit_code == 0
    assert content(settings) == undisturbed
    lake = open_lake(settings)
    assert verify(lake).findings == []
    for file in list(lake.leftovers()):
        lake.storage.delete(file.path)
    assert backup(settings).sources[0].run.files_added == 0
    assert content(settings) == undisturbed
