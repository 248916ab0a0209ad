"""Night after night: each run asks for what is new or changed, and for nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings, load_settings
from chatlake.simulator import Running, Scenario, running
from tests.support import KEY_VARIABLE, NOW, backup, figures, rows, settings_for

IDS = "SELECT completion_id FROM completions"


def stored(settings: Settings, source: str = "openai") -> set[str]:
    """Return the ids that the lake holds of a source."""
    return {name for (name,) in rows(settings, f"{IDS} WHERE source = '{source}'")}


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 1500])
def test_what_a_night_costs_does_not_depend_on_the_lake(tmp_path: Path, size: int) -> None:
    """150 new completions: a request for the messages of each, and a handful of list pages."""
    with running(Scenario(completions=size, seed=1, days=30, now=NOW, image_share=0)) as server:
        settings = settings_for(tmp_path, server.base_url, lookback="24h")
        backup(settings)
        for _ in range(2):
            server.reset_stats()
            new = server.grow(150)
            run = backup(settings).sources[0].run
            asked = server.stats()["requests"]

            assert (run.new, run.failed) == (150, 0)
            assert 150 <= asked["messages"] <= 155  # some have more than one page
            assert asked["list"] <= 6
            assert asked.keys() == {"messages", "list"}
            assert stored(settings) >= set(new)
        assert stored(settings) == set(server.ids())


@pytest.mark.sample(1)
@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("left", [3, 0], ids=["some are left", "all are gone"])
def test_a_cursor_that_was_deleted(tmp_path: Path, status: int, left: int) -> None:
    """Whatever `after` answers then: an older id is taken, at last the beginning; never a gap."""
    scenario = Scenario(completions=120, seed=8, days=3, now=NOW, unknown_after=status)
    with running(scenario) as server:
        settings = settings_for(tmp_path, server.base_url, lookback="1h")
        backup(settings)
        before = server.ids()
        for completion_id in before[left:]:
            server.delete(completion_id)
        new = server.grow(5)
        report = backup(settings)
        again = backup(settings)

    assert report.exit_code == again.exit_code == 0
    assert figures(report)["new"] == 5
    assert figures(again)["new"] == 0
    assert stored(settings) == {*before, *new}
    assert rows(settings, "FROM failures") == []


@pytest.mark.slow
def test_a_cursor_that_is_deleted_while_the_list_is_read(tmp_path: Path) -> None:
    """The page after a completion that has just gone is asked for after an older one."""
    with running(Scenario(completions=500, seed=8, now=NOW, latency_ms=5)) as server:
        settings = settings_for(tmp_path, server.base_url, pace={"concurrency": 1})
        ids = server.ids()
        page = server.simulator.world.page

        def deleting_page(**asked: Any) -> Any:
            found, more = page(**asked)
            if len(found) == 100 and asked["after"] is None:
                server.delete(ids[99])  # it is on the page that is now on its way
            return found, more

        server.simulator.world.page = deleting_page  # type: ignore[method-assign]
        report = backup(settings)

    # Listed, then gone: its messages are a named gap, and the others are all there.
    assert report.exit_code == 3
    assert [failure.completion_id for failure in report.sources[0].failures] == [ids[99]]
    assert stored(settings) == set(ids)


def test_each_source_has_its_own_selection_and_cursor(tmp_path: Path) -> None:
    """Two accounts and one account twice: each continues where it was, night after night."""

    def source(name: str, server: Running, **more: Any) -> dict[str, Any]:
        key = f"${{{KEY_VARIABLE}}}"
        return {"name": name, "base_url": server.base_url, "api_key": key, "lookback": "1h"} | more

    with (
        running(Scenario(completions=60, seed=1, now=NOW)) as one,
        running(Scenario(completions=90, seed=2, days=9, now=NOW - 864_000)) as two,
    ):
        models = {truth["completion"]["model"] for truth in one.truth()}
        model = min(models)
        sources = [
            source("one", one),
            source("two", two),
            source("filtered", one, select={"model": model}),
        ]
        path = tmp_path / "chatlake.yaml"
        path.write_text(json.dumps({"version": 1, "lake": "lake", "sources": sources}))
        settings = load_settings(path)

        backup(settings)
        cursors = dict(open_lake(settings).state.cursors)
        new = {"one": one.grow(4), "two": two.grow(3)}
        chosen = {t["completion"]["id"] for t in one.truth() if t["completion"]["model"] == model}
        report = backup(settings)
        after = dict(open_lake(settings).state.cursors)
        everything = {"one": set(one.ids()), "two": set(two.ids()), "filtered": chosen}

    assert cursors.keys() == after.keys() == {"one", "two", "filtered"}
    assert len({cursor.selection for cursor in cursors.values()}) == 2
    for name, grown in new.items():
        assert after[name].completion_id == grown[-1]
    for name, ids in everything.items():
        assert stored(settings, name) == ids
    runs = {source.run.source: source.run for source in report.sources}
    assert (runs["one"].new, runs["two"].new) == (4, 3)
    assert runs["one"].listed < 30
    assert runs["two"].listed < 30


@pytest.mark.slow
def test_a_selection_that_was_widened_in_time_is_backfilled(tmp_path: Path) -> None:
    """An earlier `created_after` brings what lies before the cursor; a later one removes nothing."""
    with running(Scenario(completions=150, seed=4, days=6, now=NOW)) as server:
        created = {t["completion"]["id"]: t["completion"]["created"] for t in server.truth()}

        def since(days: int | None) -> tuple[Settings, set[str]]:
            moment = None if days is None else NOW - days * 86_400
            text = None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()
            select = {"created_after": text}
            settings = settings_for(tmp_path, server.base_url, lookback="1h", select=select)
            return settings, {n for n, at in created.items() if moment is None or at >= moment}

        held: set[str] = set()
        for days in (1, 3, 2, None):
            settings, wanted = since(days)
            report = backup(settings)
            assert report.exit_code == 0
            assert figures(report)["new"] == len(wanted - held)
            held |= wanted
            assert stored(settings) == held


def test_every_version_of_what_is_edited_each_night_is_kept(tmp_path: Path) -> None:
    """The row is the newest; `completion_history` has all before it, as they were sent."""
    with running(Scenario(completions=40, seed=4, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        edited = server.ids()[-2]
        sent = [_metadata(server, edited)]
        for night in range(3):
            server.edit(edited, {"night": str(night)})
            sent.append(_metadata(server, edited))
            assert figures(backup(settings))["changed"] == 1
        history = rows(
            settings,
            "SELECT change, (raw->'metadata')::VARCHAR FROM completion_history"
            f" WHERE completion_id = '{edited}' ORDER BY observed_at",
        )
        current = rows(
            settings, f"SELECT metadata FROM completions WHERE completion_id = '{edited}'"
        )

    assert [change for change, _ in history] == ["created", "changed", "changed", "changed"]
    assert [json.loads(text) for _, text in history] == sent
    assert current == [(sent[-1],)]


def _metadata(server: Running, completion_id: str) -> Any:
    (found,) = (
        truth["completion"]["metadata"]
        for truth in server.truth()
        if truth["completion"]["id"] == completion_id
    )
    return found
