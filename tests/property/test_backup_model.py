"""Whatever happens between two backups, and wherever one of them breaks off, the next full one
leaves the lake equal to a model of the source.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chatlake import failpoints
from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from chatlake.errors import LakeNotFoundError
from chatlake.exports.raw import export_raw
from chatlake.simulator import Running, Scenario, running
from tests.flat import exact
from tests.support import NOW, backup, examples, rows, settings_for

COUNT = 30
KEYS = {
    "completions": "completion_id",
    "messages": "message_id",
    "content_parts": "message_id, part_index",
    "images": "created_date, sha256",
    "completion_history": "completion_id, observed_at, change",
}
LOOK = " UNION ALL ".join(
    [
        "SELECT 'stored', completion_id FROM completions",
        "SELECT 'marked', completion_id FROM completions WHERE deleted_at IS NOT NULL",
        "SELECT 'ledger', run_id FROM runs WHERE listed <> new + changed + unchanged + failed",
        *(
            f"SELECT 'doubled in {view}', any_value({key.split(',')[0]})::VARCHAR"
            f" FROM {view} GROUP BY {key} HAVING count(*) > 1"
            for view, key in KEYS.items()
        ),
    ]
)
"""What is stored and what is marked deleted; if all is well, nothing else."""


class Crash(BaseException):
    """The end of the process, as far as one process can play it."""


@dataclass(frozen=True)
class Grow:
    """So many more completions."""

    count: int


@dataclass(frozen=True)
class Edit:
    """Other metadata for one of the visible."""

    which: int
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Delete:
    """One of the visible is deleted."""

    which: int


@dataclass(frozen=True)
class Hide:
    """One of the visible is not shown any more; those hidden before are shown again."""

    which: int


@dataclass(frozen=True)
class Run:
    """A backup, which may break off the `nth` time that a fail-point is reached."""

    full: bool
    failpoint: str | None = None
    nth: int = 1
    is_crash: bool = True


_which = st.integers(0, COUNT - 1)
_pairs = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "日本"]), max_size=2)
_breaking = st.builds(
    Run, st.booleans(), st.sampled_from(failpoints.NAMES), st.integers(1, 6), st.booleans()
)
_actions = st.lists(
    st.one_of(
        st.builds(Grow, st.integers(1, 6)),
        st.builds(Edit, _which, _pairs),
        st.builds(Delete, _which),
        st.builds(Hide, _which),
        st.builds(Run, st.booleans()),
        _breaking,
        _breaking,
    ),
    min_size=3,
    max_size=9,
)


class Model:
    """What the source has, and what the lake once had."""

    def __init__(self, server: Running, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._hidden: list[str] = []
        self._ever_hidden: set[str] = set()
        self._gone: dict[str, int] = {}
        self._stored: set[str] = set()

    def do(self, action: Grow | Edit | Delete | Hide | Run) -> None:
        """Let one thing happen."""
        match action:
            case Grow(count):
                self._server.grow(count)
            case Edit(which, metadata):
                self._server.edit(self._name(which), dict(metadata))
            case Delete(which):
                name = self._name(which)
                self._server.delete(name)
                self._gone[name] = 0
            case Hide(which):
                name = self._name(which)
                self.reveal()
                self._server.hide(name)
                self._hidden.append(name)
                self._ever_hidden.add(name)
                self._gone[name] = 0
            case Run():
                self._run(action)

    def reveal(self) -> None:
        """Show what is hidden."""
        for name in self._hidden:
            self._server.reveal(name)
            self._gone.pop(name, None)
        self._hidden.clear()

    def check_nothing_lost(self) -> None:
        """What was committed once stays, each key once, and every run's figures add up."""
        try:
            found = rows(self._settings, LOOK)
        except LakeNotFoundError:  # it broke off before there was one
            found = []
        assert [row for row in found if row[0] not in {"stored", "marked"}] == []
        stored = {name for what, name in found if what == "stored"}
        assert self._stored <= stored
        self._stored = stored
        # What was hidden and is shown again stays marked until it is listed.
        marked = {name for what, name in found if what == "marked"}
        swept = {name for name, sweeps in self._gone.items() if sweeps > 1}
        assert marked - self._ever_hidden.difference(self._hidden) <= swept

    def check_equal(self, folder: Path) -> None:
        """What the source shows is exported exactly; besides it there is only what was deleted."""
        path = folder / "export.jsonl"
        export_raw(open_lake(self._settings), path)
        exported = _by_id([exact(line) for line in path.read_bytes().splitlines()])
        truth = _by_id([exact(line) for line in self._server.simulator.world.truth()])
        assert {name: exported.get(name) for name in truth} == truth
        assert exported.keys() == self._stored
        pairs = rows(self._settings, "SELECT completion_id, metadata FROM completions")
        assert all(
            metadata == truth[name]["completion"]["metadata"]
            for name, metadata in pairs
            if name in truth
        )

    def check_marked(self) -> None:
        """After two undisturbed full runs just what is gone is marked deleted."""
        gone = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
        marked = rows(self._settings, gone)
        assert {name for (name,) in marked} == self._stored - set(self._server.ids())

    def _run(self, run: Run) -> None:
        for name in self._gone:
            self._gone[name] += run.full
        if run.failpoint is None:
            assert backup(self._settings, full=run.full).exit_code == 0
        else:
            error = Crash() if run.is_crash else None
            with failpoints.active(run.failpoint, error, nth=run.nth):
                self._break_off(run)
        self.check_nothing_lost()
        if run.failpoint is None:
            assert set(self._server.ids()) - self._ever_hidden <= self._stored

    def _break_off(self, run: Run) -> None:
        try:
            backup(self._settings, full=run.full)
        except (Crash, failpoints.FailPointError):
            pass
        except BaseExceptionGroup as group:
            if group.split(Crash)[1] is not None:
                raise

    def _name(self, which: int) -> str:
        names = self._server.ids()
        return names[which % len(names)]


def _by_id(records: Sequence[Any]) -> dict[str, Any]:
    names = [record["completion"]["id"] for record in records]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    return dict(zip(names, records, strict=True))


def check_history(actions: list[Grow | Edit | Delete | Hide | Run]) -> None:
    """Let it happen to a source and its backup, then compare the lake with the model."""
    scenario = Scenario(
        completions=COUNT, seed=5, now=NOW, days=1.5, image_share=0.3, image_bytes=2000
    )
    with running(scenario) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = settings_for(folder, server.base_url, full_sweep_every=None, lookback="6h")
        model = Model(server, chosen)
        for action in actions:
            model.do(action)
        model.reveal()
        model.do(Run(full=True))
        model.check_equal(folder)
        model.do(Run(full=True))
        model.check_marked()


# Shrinking would take minutes; a list of at most nine actions is read as it is.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@settings(max_examples=examples(8), phases=PHASES)
@given(_actions)
def test_one_undisturbed_full_run_makes_the_lake_equal_to_the_source(
    actions: list[Grow | Edit | Delete | Hide | Run],
) -> None:
    """After any growth, edits, deletions, late rows, crashes and runs nothing is lost or wrong."""
    check_history(actions)


@pytest.mark.slow
@settings(max_examples=examples(24), phases=PHASES)
@given(_actions)
def test_further_histories_end_the_same(
    actions: list[Grow | Edit | Delete | Hide | Run],
) -> None:
    """Hypothesis chooses by the name of a test, so these are others than above."""
    check_history(actions)
