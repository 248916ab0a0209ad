"""Backups from a source that misbehaves: waits that cost no time, and the lake held against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chatlake.api.client import ApiClient
from chatlake.backup.items import SourceJob
from chatlake.backup.ports import SilentObserver
from chatlake.backup.report import BackupReport, new_report
from chatlake.backup.run import back_up
from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings
from chatlake.exports.raw import export_raw
from chatlake.lake import Lake
from chatlake.simulator import Running, Scenario
from tests.flat import exact
from tests.soak.watch import KEYS, UNLIKE_COUNT
from tests.support import KEY, NOW, figures

SMALL = Scenario(completions=12, seed=62, days=0.5, now=NOW, image_share=0.1, image_bytes=4000)
"""A few completions of two days; two of them have 257 and 143 messages."""
REQUESTS = 1 + 12 + 3
"""What a backup of them takes: the list, and the pages of messages."""
WRONG = " UNION ALL ".join(
    [
        "SELECT 'ledger', run_id FROM runs WHERE listed <> new + changed + unchanged + failed",
        f"SELECT 'message_count', completion_id FROM ({UNLIKE_COUNT})",
        *(
            f"SELECT 'doubled in {view}', any_value({key.split(', ')[1]})::VARCHAR"
            f" FROM {view} GROUP BY {key} HAVING count(*) > 1"
            for view, key in KEYS.items()
        ),
    ]
)
"""If all is well, no row."""


@dataclass
class VirtualTime:
    """A clock that stands still while any task works, and jumps to the next sleeper's time.

    `waits`: each wait for a retry with its reason; `on_wait` is called at each of them. Client and
    simulator may share it: the clock is only read by the latter. `turn_s`: how long tasks work,
    in real time, before the clock jumps; a source in the same event loop needs little.
    """

    now: float = 1000.0
    turn_s: float = 0.002
    waits: list[tuple[float, str]] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None
    _ends: list[float] = field(default_factory=list)

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait until that time, which shorter sleepers bring nearer."""
        end = self.now + seconds
        self._ends.append(end)
        try:
            while self.now < end:
                await asyncio.sleep(self.turn_s)  # what is under way continues meanwhile
                if end == min(self._ends):
                    self.now = max(self.now, end)
        finally:
            self._ends.remove(end)

    def waiting(self, seconds: float, why: str) -> None:
        """Take note of a wait for a retry."""
        self.waits.append((seconds, why))
        self.on_wait()


def backup_in(
    time: VirtualTime,
    settings: Settings,
    *,
    full: bool = False,
    ids: Sequence[str] | None = None,
    dry_run: bool = False,
    lake: Lake | None = None,
    serving: AbstractAsyncContextManager[None] | None = None,
) -> BackupReport:
    """Back up with the whole engine; only time is virtual, and every wait the shortest allowed.

    `serving`: what answers in the same event loop meanwhile.
    """
    lake = open_lake(settings, create=True) if lake is None else lake
    report = new_report(settings.lake_location, dry_run=dry_run)

    @asynccontextmanager
    async def open_api(job: SourceJob) -> AsyncIterator[ApiClient]:
        source = settings.source(job.name)
        pace = source.pace
        api = ApiClient(
            base_url=source.base_url,
            key=KEY,
            concurrency=pace.concurrency,
            max_body=pace.max_body,
            requests_per_minute=pace.requests_per_minute,
            timeout_s=pace.timeout.total_seconds(),
            max_attempts=pace.max_attempts,
            give_up_after_s=pace.give_up_after.total_seconds(),
            sleep=time.sleep,
            clock=time.clock,
            random=lambda: 0.0,
            on_wait=time.waiting,
        )
        try:
            yield api
        finally:
            await api.aclose()

    jobs = jobs_for(settings, ids=ids, full=full)

    async def run() -> None:
        async with serving or nullcontext():
            await back_up(jobs, open_api, lake, SilentObserver(), report=report)

    with lake.lock(report.run_id):
        asyncio.run(run())
    return report


@dataclass(frozen=True)
class Held:
    """The ids that the lake has completely, has without messages, and lists as failures."""

    whole: set[str]
    gaps: set[str]
    named: set[str]


def check_sound(settings: Settings, server: Running) -> Held:
    """Compare what the lake holds with the source; return what that is.

    Everything held is as the source has it, value by value; no key is doubled in any view; the
    ledger adds up; what has no messages is a named failure.
    """
    lake = open_lake(settings)
    with lake.connect() as connection:
        assert connection.execute(WRONG).fetchall() == []
        named = connection.execute("SELECT completion_id, reason, detail FROM failures").fetchall()
    held = _by_id(_exported(lake))
    truth = _by_id([exact(record) for record in server.simulator.world.truth()])
    gaps = {name for name, record in held.items() if record["messages"] is None}
    for name, record in held.items():
        expected = truth[name] | ({"messages": None} if name in gaps else {})
        assert record == expected, f"{name} is not what the source holds"
    assert all(reason and detail for _, reason, detail in named)
    assert gaps <= {completion_id for completion_id, _, _ in named}
    return Held(set(held) - gaps, gaps, {completion_id for completion_id, _, _ in named})


def check_equal(settings: Settings, server: Running) -> None:
    """Fail unless the lake holds just what the source holds, and knows of no gap."""
    assert check_sound(settings, server) == Held(set(server.ids()), set(), set())


def check_incomplete(report: BackupReport, settings: Settings, server: Running) -> Held:
    """Fail unless the run ended with named failures, and all that was listed is held."""
    assert (report.exit_code, report.status) == (3, "incomplete")
    found = figures(report)
    assert found["failed"] == len(report.sources[0].failures) > 0
    assert found["listed"] == len(server.ids())
    held = check_sound(settings, server)
    assert held.gaps == held.named
    assert held.named == {failure.completion_id for failure in report.sources[0].failures}
    assert held.whole | held.gaps == set(server.ids())
    return held


def _exported(lake: Lake) -> list[Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        export_raw(lake, path)
        return [exact(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _by_id(records: list[Any]) -> dict[str, Any]:
    found = {record["completion"]["id"]: record for record in records}
    assert len(found) == len(records)
    return found
