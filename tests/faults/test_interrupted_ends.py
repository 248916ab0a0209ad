"""Interrupted at any step of a run, once and again: its end is in the ledger, no commit is torn.

The steps are the calls that a run makes to its lake, each in a thread; one of them waits until the
run was cancelled. The run under test does everything there is to do: it closes a killed run, heals,
fetches what is new, and ends a full sweep that marks a completion as deleted.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chatlake.backup.lake_port import Rows
from chatlake.backup.ports import SilentObserver
from chatlake.backup.report import new_report
from chatlake.backup.run import back_up
from chatlake.backup.uninterrupted import to_its_end
from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.runtime import Runtime
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings, load_settings
from chatlake.errors import LakeError, RunInterruptedError
from chatlake.lake.lake import Lake
from chatlake.model.manifest import Manifest, PartFile, SourceRun
from chatlake.model.partitions import Partition
from chatlake.simulator import Running, Scenario, running
from chatlake.storage.opening import storage_at
from tests.command_line import ended, start
from tests.support import KEY, KEY_VARIABLE, NOW, backup, rows, settings_for

FINAL = {"complete", "incomplete", "failed", "interrupted"}


@dataclass(slots=True)
class Steps:
    """What a run does to its lake, step by step; the one called `waits_at` waits for `go`."""

    waits_at: int | None = None
    fails_at: int | None = None
    taken: list[str] = field(default_factory=list)
    inside: int = 0
    most_inside: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take a step."""
        number = len(self.taken)
        self.taken.append(name)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if number == self.fails_at:
                raise LakeError("this step fails")
            if number == self.waits_at:
                self.reached.set()
                assert self.go.wait(30)
            yield
        finally:
            self.inside -= 1


class WatchedLake(Lake):
    """A lake whose steps are counted, and can be made to wait."""

    steps: Steps

    def commit(self, manifest: Manifest) -> None:
        """Commit, as a step."""
        with self.steps.step("commit"):
            super().commit(manifest)

    def write_parts(self, rows: Rows) -> list[PartFile]:
        """Write, as a step."""
        with self.steps.step("write_parts"):
            return super().write_parts(rows)

    def missing_files(self) -> list[PartFile]:
        """Look for missing files, as a step: healing begins with it."""
        with self.steps.step("missing_files"):
            return super().missing_files()

    def missed(self, partition: Partition) -> set[str]:
        """Compare with the sweep before, as a step: the end of a sweep."""
        with self.steps.step("missed"):
            return super().missed(partition)

    def mark_deleted(
        self, partition: Partition, completion_ids: Container[str], deleted_at: int
    ) -> tuple[list[PartFile], list[str]]:
        """Mark, as a step."""
        with self.steps.step("mark_deleted"):
            return super().mark_deleted(partition, completion_ids, deleted_at)

    def without_completions(
        self, partition: Partition, completion_ids: Container[str], tables: Sequence[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite, as a step."""
        with self.steps.step("without_completions"):
            return super().without_completions(partition, completion_ids, tables)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source, and a lake in which the next run has everything to do."""

    server: Running
    folder: Path
    ids: set[str]
    gone: str

    def copy(self, folder: Path) -> Settings:
        """Copy the lake beside a configuration of its own."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return load_settings(folder / "chatlake.yaml")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Prepare a killed run, a lost file, a completion missed once, edited and new ones."""
    folder = tmp_path_factory.mktemp("prepared") / "it"
    with running(Scenario(completions=24, seed=31, days=2, now=NOW)) as server:
        settings = settings_for(
            folder, server.base_url, full_sweep_every=None, pace={"max_attempts": 2}
        )
        backup(settings)
        ids = set(server.ids())
        server.delete(gone := server.ids()[4])
        backup(settings, full=True)
        server.edit(server.ids()[8], {"reviewed": "yes"})
        server.grow(3)
        lake = Lake.open(settings.lake_location)
        with lake.lock():
            killed = SourceRun(
                run_id="killed", source="openai", status="running", mode="full",
                started_at="2025-10-09T00:00:00Z",
            )  # fmt: skip
            lake.commit(Manifest(run_id="killed", runs=[killed]))
        messages = next(f for f in lake.state.files.values() if f.table == "messages")
        (Path(settings.lake_location) / messages.path).unlink()
        yield Prepared(server, folder, ids | set(server.ids()), gone)


def run(settings: Settings, steps: Steps, cancellations: int = 0) -> str:
    """Run a full sweep, cancelled so often while a step waits; return how it ended."""
    lake = WatchedLake(storage_at(settings.lake_location))
    lake.steps = steps

    runtime = Runtime(settings, lake, SilentObserver())

    async def sweep() -> str:
        report = new_report(settings.lake_location)
        jobs = jobs_for(settings, full=True)
        task = asyncio.create_task(
            back_up(jobs, runtime.open_api, lake, SilentObserver(), report=report)
        )
        if cancellations:
            assert await asyncio.to_thread(steps.reached.wait, 30)
        for _ in range(cancellations):
            task.cancel()
            for _ in range(20):  # whatever the cancellation sets going gets its turn
                await asyncio.sleep(0.002)
        steps.go.set()
        with suppress(asyncio.CancelledError, LakeError):
            await task
        return "cancelled" if task.cancelled() else "ended"

    how = "ended"
    with suppress(LakeError), lake.lock():  # what is lost before it heals, the lock's end tells
        try:
            how = runtime.loop.run(sweep())
        finally:
            runtime.close()
    return how


def statuses(settings: Settings) -> dict[str, str]:
    """Return run id -> status, from the lake as another process finds it."""
    state = Lake.open(settings.lake_location).state
    return {run.run_id: run.status for run in state.runs.values()}


@pytest.fixture(scope="module", autouse=True)
def _key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield


@pytest.fixture(scope="module")
def all_steps(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return every step of a run that nobody disturbs, and check that it does everything."""
    steps = Steps()
    settings = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "it")

    assert run(settings, steps) == "ended"

    assert {"missing_files", "commit", "write_parts", "missed", "mark_deleted"} <= set(steps.taken)
    assert "without_completions" in steps.taken
    deleted = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
    assert rows(settings, deleted) == [(prepared.gone,)]
    return steps.taken


@pytest.mark.slow
@pytest.mark.parametrize("cancellations", [1, 2])
def test_cancelled_at_every_step(
    prepared: Prepared, all_steps: list[str], tmp_path: Path, cancellations: int
) -> None:
    """However often and wherever a run is cancelled, it has an end, and no two steps overlap."""
    for number, name in enumerate(all_steps):
        settings = prepared.copy(tmp_path / f"at-{number}")
        steps = Steps(waits_at=number)

        ended_so = run(settings, steps, cancellations)

        where = f"step {number}: {name}"
        assert steps.taken[number] == name
        assert ended_so == "cancelled", where
        assert steps.most_inside == 1, where
        assert set(statuses(settings).values()) <= FINAL, where
        assert statuses(settings)["killed"] == "interrupted", where
        if cancellations == 2:
            backup(settings, full=True)
            stored = {row[0] for row in rows(settings, "SELECT completion_id FROM completions")}
            assert stored == prepared.ids, where


@pytest.mark.slow
def test_failing_at_every_step(prepared: Prepared, all_steps: list[str], tmp_path: Path) -> None:
    """A run that a step fails has an end in the ledger, also when it was ending already."""
    for number, name in enumerate(all_steps):
        settings = prepared.copy(tmp_path / f"at-{number}")

        run(settings, Steps(fails_at=number))

        found = statuses(settings)
        if number == 0:  # nothing of this run is in the ledger, the killed one waits for the next
            assert name == "commit"
            continue
        assert set(found.values()) <= FINAL, f"step {number}: {name}"
        assert "failed" in found.values(), f"step {number}: {name}"


@pytest.mark.parametrize("cancellations", [1, 2, 3, 7])
@pytest.mark.parametrize("error", [None, LakeError("no")], ids=["well", "badly"])
def test_work_is_let_to_its_end(cancellations: int, error: Exception | None) -> None:
    """Work ends before its caller continues, and the caller learns of error and cancellation."""
    seen: list[Any] = []

    async def scene() -> None:
        gate = asyncio.Event()

        async def work() -> None:
            await gate.wait()
            seen.append("done")
            if error is not None:
                raise error

        async def caller() -> None:
            try:
                await to_its_end(work())
            except BaseException as raised:
                seen.append(type(raised))
                raise

        task = asyncio.create_task(caller())
        await asyncio.sleep(0)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert seen == []
        gate.set()
        await asyncio.wait({task})
        assert task.cancelling() == cancellations
        if not task.cancelled():
            assert task.exception() is error

    asyncio.run(scene())

    assert seen == ["done", asyncio.CancelledError if error is None else LakeError]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("commit.started:SIGINT+SIGTERM:1", 130),
        ("manifest.written:SIGTERM+SIGINT:2", 143),
        ("commit.applied:SIGINT+SIGINT:2", 130),
        ("part.written:SIGTERM:1", 143),
        ("manifest.linked:SIGINT+SIGTERM+SIGINT:3", 130),
    ],
)
def test_signals_at_named_points(prepared: Prepared, tmp_path: Path, point: str, code: int) -> None:
    """The command ends with the first signal's exit code, and its run has an end in the ledger."""
    settings = prepared.copy(tmp_path / "it")

    process = start(
        tmp_path / "it", "backup", "--full", "--json", env={"CHATLAKE_FAILPOINT": point}
    )
    done = ended(process)

    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.json["status"] == "interrupted"
    assert set(statuses(settings).values()) <= FINAL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_duckdb_writes_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """DuckDB turns the interruption into its own error; the run still counts as interrupted."""

    def interrupted(_lake: Lake, *, force: bool = False) -> None:
        if force:  # at the end of the lock
            try:
                signal.raise_signal(number)
            except RunInterruptedError:
                raise RuntimeError("Query interrupted") from None

    with running(Scenario(completions=5, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        with monkeypatch.context() as patch:
            patch.setattr(Lake, "refresh_catalog", interrupted)
            report = backup(settings)

    assert (report.status, report.exit_code) == ("interrupted", 128 + number)
    assert rows(settings, "SELECT status FROM runs") == [("complete",)]
    assert open_lake(settings).storage.lock_holder() is None
