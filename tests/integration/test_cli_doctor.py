"""`chatlake doctor` and `chatlake init`: from nothing to a backup that can run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chatlake.lake.lake import Lake
from chatlake.simulator import Faults, Scenario, running
from tests.command_line import CommandLine, Ended
from tests.support import KEY, KEY_VARIABLE, settings_for, write_config

QUICK = {"pace": {"max_attempts": 1}}


def _checks(done: Ended) -> dict[str, dict[str, Any]]:
    checks = {check["check"]: check for check in done.json}
    assert all(
        set(check) == {"check", "ok", "level", "detail", "remedy"} for check in checks.values()
    )
    return checks


def test_everything_in_order_is_a_line_each(chatlake: CommandLine, tmp_path: Path) -> None:
    """Exit code 0, a mark for each check, no key shown, and no file left or made."""
    with running(Scenario(completions=5, api_key=KEY)) as server:
        write_config(tmp_path, server.base_url)
        done = chatlake("doctor")

    assert (done.code, done.err) == (0, "")
    assert all(line.startswith("✓ ") for line in done.out.splitlines())
    for check in ("configuration", "key", "list", "get", "messages", "disk", "lock", "versions"):
        assert f"{check}: " in done.out
    assert KEY not in done.out
    assert list(tmp_path.iterdir()) == [tmp_path / "chatlake.yaml"]


@pytest.mark.parametrize(
    ("scenario", "faults", "failing", "code"),
    [
        (Scenario(completions=5, api_key="sk-x"), Faults(), {"openai: list"}, 5),
        (Scenario(completions=5, list_status=405), Faults(), {"openai: list"}, 5),
        (
            Scenario(completions=5),
            Faults(error_403=1, routes="messages"),
            {"openai: messages"},
            5,
        ),
        (Scenario(completions=5), Faults(error_403=1, routes="get"), {"openai: get"}, 5),
    ],
)
def test_each_route_is_judged_by_itself(
    chatlake: CommandLine,
    tmp_path: Path,
    *,
    scenario: Scenario,
    faults: Faults,
    failing: set[str],
    code: int,
) -> None:
    """A missing permission is found on the route that lacks it, with its remedy."""
    with running(scenario, faults) as server:
        write_config(tmp_path, server.base_url, **QUICK)
        done = chatlake("doctor", "--json")

    checks = _checks(done)
    assert {name for name, check in checks.items() if not check["ok"]} == failing
    assert all(checks[name]["remedy"] for name in failing)
    assert done.code == code


def test_a_source_that_does_not_list_may_still_be_asked_by_id(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """405 on the list is a warning where the configuration chooses ids."""
    with running(Scenario(completions=5, list_status=405)) as server:
        write_config(tmp_path, server.base_url, select={"ids": server.ids()[:1]}, **QUICK)
        done = chatlake("doctor", "--json")

    checks = _checks(done)
    assert done.code == 0
    assert checks["openai: list"]["level"] == "warning"
    assert checks["openai: messages"]["level"] == "ok"


def test_an_empty_account_and_a_filter_without_match_are_warnings(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """Both are explained, neither is a failure."""
    with running(Scenario(completions=0)) as server:
        write_config(tmp_path, server.base_url)
        empty = _checks(chatlake("doctor", "--json"))["openai: list"]
    with running(Scenario(completions=5)) as server:
        write_config(tmp_path, server.base_url, select={"model": "gpt-unknown"})
        unmatched = _checks(chatlake("doctor", "--json"))["openai: list"]

    assert (empty["level"], unmatched["level"]) == ("warning", "warning")
    assert "store=true" in empty["remedy"]
    assert "gpt-unknown" in unmatched["detail"]


def test_what_is_wrong_on_this_side_is_found_too(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No configuration, an unset key, nobody listening: their own exit codes."""
    without = chatlake("doctor")
    write_config(tmp_path, "http://127.0.0.1:1/v1", **QUICK)
    unreachable = chatlake("doctor")
    monkeypatch.delenv(KEY_VARIABLE)
    unset = chatlake("doctor")

    assert (without.code, unreachable.code, unset.code) == (4, 6, 4)
    assert "chatlake init" in without.out
    assert "✗ openai: list" in unreachable.out
    assert f"export {KEY_VARIABLE}=…" in unset.out
    assert "✓ versions" in without.out


def test_a_running_backup_and_a_read_only_place_are_told(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """The lock's holder is named; a place without permission is a failure."""
    with running(Scenario(completions=1)) as server:
        settings = settings_for(tmp_path, server.base_url)
        lake = Lake.open(settings.lake_location, create=True)
        with lake.lock("run-x"):
            locked = _checks(chatlake("doctor", "--json"))
        place = tmp_path / "file"
        place.write_text("")
        config = (
            (tmp_path / "chatlake.yaml").read_text().replace("lake: lake", "lake: /proc/no/lake")
        )
        (tmp_path / "chatlake.yaml").write_text(config)
        refused = chatlake("doctor", "--json")

    assert locked["lock"]["level"] == "warning"
    assert f"process {os.getpid()}" in locked["lock"]["detail"]
    assert refused.code == 1
    assert not _checks(refused)["writable"]["ok"]


def test_init_writes_a_configuration_that_works_and_never_overwrites(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init` prints what to do next; the second time it exits with 2."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")

    first, again = chatlake("init"), chatlake("init")
    elsewhere = chatlake("init", "other/my.yaml")

    assert (first.code, again.code, elsewhere.code) == (0, 2, 0)
    assert "export OPENAI_API_KEY=…\n  chatlake doctor\n  chatlake backup\n" in first.out
    assert "chatlake doctor --config other/my.yaml" in elsewhere.out
    assert "exists already" in again.err
    assert chatlake("status").code == 1  # valid, and no lake yet


def test_the_printed_schema_accepts_the_written_configuration(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """`init --schema` prints a JSON Schema and writes no file."""
    schema = json.loads(chatlake("init", "--schema").out)
    assert list(tmp_path.iterdir()) == []
    chatlake("init")
    jsonschema.validate(yaml.safe_load((tmp_path / "chatlake.yaml").read_text()), schema)
