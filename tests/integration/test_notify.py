"""What is posted when a backup does not end well, and what becomes of it when nobody takes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chatlake.api.notification import Outgoing, deliver
from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import CommandLine
from tests.hook import PATH, hook
from tests.support import KEY, KEY_VARIABLE, NOW, write_config


@pytest.fixture
def source() -> Iterator[Running]:
    """Serve some completions."""
    with running(Scenario(completions=20, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def chatlake(
    chatlake: CommandLine, source: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Run commands in a folder with a configuration that notifies `$TEST_HOOK`."""
    config = write_config(tmp_path, source.base_url, pace={"max_attempts": 1})
    config.write_text(config.read_text() + "\nnotify: ${TEST_HOOK}\n")
    monkeypatch.setattr("chatlake.api.notification._PAUSES_S", (0.0, 0.0))
    return chatlake


def test_an_incomplete_backup_is_posted_once(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One JSON document with the run's figures, and nothing of it in the output."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup", "--json")

    (posted,) = taking.posted
    assert done.code == 3
    assert list(posted) == [
        "command", "run_id", "status", "exit_code", "sources", "failures", "lake", "host",
        "finished_at", "event", "silent", "new_fields", "text",
    ]  # fmt: skip
    report = done.json
    for key in ("run_id", "status", "sources", "lake"):
        assert posted[key] == report[key]
    assert (posted["exit_code"], posted["failures"]) == (3, len(report["failures"]))
    assert f"{posted['failures']} of 20 completions could not be fetched" in posted["text"]
    assert "very-secret" not in done.out + done.err
    assert KEY not in json.dumps(posted)


def test_a_failed_backup_is_posted(chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key: status failed, its exit code and reason, and not the key."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-test-another-key")
    with hook(204) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    (posted,) = taking.posted
    assert done.code == posted["exit_code"] == 5
    assert posted["status"] == "failed"
    assert "sk-test-another-key" not in json.dumps(posted)


def test_what_does_not_begin_is_posted_too(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key ends the run before it starts, and is still reported."""
    monkeypatch.delenv(KEY_VARIABLE)
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    assert done.code == 4
    assert [(each["status"], each["exit_code"]) for each in taking.posted] == [("failed", 4)]
    assert KEY_VARIABLE in taking.posted[0]["text"]


def test_a_complete_backup_and_a_dry_run_are_not_posted(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known gap is not reported again every night."""
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        complete = chatlake("backup")
        source.set_faults(Faults(error_401=1))
        dry = chatlake("backup", "--dry-run")

    assert (complete.code, dry.code) == (0, 5)
    assert taking.posted == []


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("statuses", "tries"), [((500, 503, 200), 3), ((500,), 3), ((404,), 1), ((429, 200), 2)]
)
def test_it_is_tried_three_times_where_that_may_help(
    statuses: tuple[int, ...],
    tries: int,
    *,
    chatlake: CommandLine,
    source: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However that ends, the backup's exit code is its own; a warning says so, not the address."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    with hook(*statuses) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    assert done.code == 3
    assert len(taking.posted) == tries
    assert ("warning: the notification could not be sent" in done.err) == (statuses[-1] != 200)
    assert "very-secret" not in done.out + done.err


def test_nobody_there_is_a_warning(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection changes no exit code and shows no address, also with --debug."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    monkeypatch.setenv("TEST_HOOK", f"http://127.0.0.1:9{PATH}")

    done = chatlake("backup", "--debug")

    assert done.code == 3
    assert "the notification could not be sent: ConnectError" in done.err
    assert "very-secret" not in done.out + done.err


def test_no_redirect_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the document nor the address goes elsewhere, and no log has the address."""
    caplog.set_level(logging.DEBUG)
    with hook(200) as other, hook(307, location=other.url) as taking:
        result = deliver(Outgoing(taking.url, document={"text": "x"}))

    assert (result.taken, result.answer) == (False, "status 307")
    assert "use the new one" in result.advice
    assert (len(taking.posted), other.posted) == (1, [])
    assert "very-secret" not in caplog.text + repr(result)


def notified(folder: Path, *lines: str) -> None:
    """Give the configuration other targets: lines of YAML."""
    config = folder / "chatlake.yaml"
    text = config.read_text().replace("\nnotify: ${TEST_HOOK}\n", "\n")
    config.write_text(text + "\n".join(("notify:", *lines, "")))


@pytest.mark.parametrize("status", [400, 404, 410])
def test_an_answer_of_400_and_more_is_a_warning_with_what_to_do(
    status: int, chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is named, and whether the shape or the address is wrong."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    with hook(status) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    (line,) = [line for line in done.err.splitlines() if line.startswith("warning:")]
    assert f"could not be sent: status {status}. " in line
    assert ("`format`" if status == 400 else "create a new one") in line


def test_each_chat_gets_its_shape_with_what_strangers_wrote_as_plain_text(
    chatlake: CommandLine, source: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's text, Teams' card and Discord's content say the same; no complete run is posted."""
    chats = ("slack", "teams", "discord")
    with hook(200) as slack, hook(202) as teams, hook(204) as discord:
        for name, taking in zip(chats, (slack, teams, discord), strict=True):
            monkeypatch.setenv(name.upper(), taking.url)
        notified(tmp_path, *(f"- {{url: '${{{name.upper()}}}', format: {name}}}" for name in chats))
        source.set_faults(Faults(error_500=3, routes="messages"))
        assert chatlake("backup").code == 3
        source.set_faults(Faults())
        assert chatlake("backup").code == 0

    (text,) = (posted["text"] for posted in slack.posted)
    (content,) = (posted["content"] for posted in discord.posted)
    assert discord.posted[0]["allowed_mentions"] == {"parse": []}
    (card,) = (posted["attachments"][0] for posted in teams.posted)
    assert teams.posted[0]["type"] == "message"
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    (block,) = card["content"]["body"]
    assert block["type"] == "RichTextBlock"
    for said in (text, content, block["inlines"][0]["text"]):
        assert said.startswith("chatlake backup incomplete on ")
        assert "of 20 completions could not be fetched" in said


def test_a_target_is_told_only_of_the_events_that_it_wants(
    chatlake: CommandLine, source: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wants to know that all is well, one only of failures."""
    with hook(200) as well, hook(200) as bad:
        monkeypatch.setenv("WELL", well.url)
        monkeypatch.setenv("BAD", bad.url)
        notified(tmp_path, "- {url: '${WELL}', on: [complete]}", "- {url: '${BAD}', on: [failed]}")
        assert chatlake("backup").code == 0
        source.set_faults(Faults(error_401=1))
        assert chatlake("backup").code == 5

    assert [posted["event"] for posted in well.posted] == ["complete"]
    assert "nothing is missing" in well.posted[0]["text"]
    assert [posted["event"] for posted in bad.posted] == ["failed"]


def test_a_monitor_is_pinged_so_that_a_failure_is_no_success(
    chatlake: CommandLine, source: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start and success, start and failure, and at a wrong key, before anything starts, failure."""
    with hook(200, answer="OK") as taking:
        monkeypatch.setenv("MONITOR", taking.url)
        notified(tmp_path, "- ping: ${MONITOR}")
        signals = []
        for faults in (Faults(), Faults(error_500=3, routes="messages")):
            source.set_faults(faults)
            chatlake("backup", "--full")
            signals.append([path for _, path, _ in taking.pings])
            taking.pings.clear()
        monkeypatch.delenv(KEY_VARIABLE)
        chatlake("backup")
        signals.append([path for _, path, _ in taking.pings])

    assert signals == [["/start", ""], ["/start", ""], ["/fail"]]
    assert {method for method, _, _ in taking.pings} == {"POST"}
    assert "exit code 4" in taking.pings[0][2]


def test_a_run_of_a_part_pings_no_success(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a dry run nor one of chosen ids may look like the nightly backup."""
    chosen = tmp_path / "ids.txt"
    chosen.write_text("chatcmpl-unknown\n")
    with hook(200) as taking:
        monkeypatch.setenv("MONITOR", taking.url)
        notified(tmp_path, "- ping: ${MONITOR}")
        dry = chatlake("backup", "--dry-run")
        assert (dry.code, taking.pings) == (0, [])
        first = chatlake("backup", "--json")
        assert [path for _, path, _ in taking.pings] == ["/start", ""]
        taking.pings.clear()
        assert first.json["sources"][0]["listed"] == 20
        ids = chatlake("sql", "SELECT completion_id FROM completions LIMIT 3", "--format", "csv")
        chosen.write_text("\n".join(ids.out.splitlines()[1:]))
        assert chatlake("backup", "--ids-file", str(chosen)).code == 0
        assert taking.pings == []


def test_a_monitor_with_addresses_of_its_own_gets_those(
    chatlake: CommandLine, source: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uptime Kuma and others have no /fail: each signal is a GET of what the file says."""
    with hook(200) as up, hook(200) as down:
        monkeypatch.setenv("UP", f"{up.url}?status=up")
        monkeypatch.setenv("DOWN", f"{down.url}?status=down")
        notified(tmp_path, "- ping: {success: '${UP}', failure: '${DOWN}'}")
        chatlake("backup")
        source.set_faults(Faults(error_401=1))
        chatlake("backup")

    assert up.pings == [("GET", "?status=up", "")]
    assert down.pings == [("GET", "?status=down", "")]


def test_a_monitor_that_does_not_know_the_address_is_no_success(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Healthchecks answers 200 to an address without a check; the text says so."""
    with hook(200, answer="OK (not found)") as taking:
        monkeypatch.setenv("MONITOR", taking.url)
        notified(tmp_path, "- ping: ${MONITOR}")
        done = chatlake("backup")
        tested = chatlake("doctor", "--notify-test")

    assert done.code == 0
    assert "the success ping could not be sent: status 200, OK (not found)" in done.err
    assert tested.code == 1


def test_verify_tells_of_damage(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing while the lake is sound; then one message, and a failure for the monitor."""
    with hook(200) as chat, hook(200) as monitor:
        monkeypatch.setenv("CHAT", chat.url)
        monkeypatch.setenv("MONITOR", monitor.url)
        notified(tmp_path, "- ${CHAT}", "- ping: ${MONITOR}")
        assert chatlake("backup").code == 0
        monitor.pings.clear()
        assert chatlake("verify").code == 0
        assert (chat.posted, monitor.pings) == ([], [])
        part = next((tmp_path / "lake" / "messages").rglob("*.parquet"))
        part.write_bytes(part.read_bytes()[:-9])
        assert chatlake("verify").code == 7

    (posted,) = chat.posted
    assert (posted["command"], posted["event"], posted["exit_code"]) == ("verify", "failed", 7)
    assert "is damaged" in posted["text"]
    assert [path for _, path, _ in monitor.pings] == ["/fail"]


def test_doctor_calls_no_address_right_that_was_not_tried(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set, and nothing was sent; something else than an address is exit code 4."""
    with hook(400) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        good = chatlake("doctor")
        monkeypatch.setenv("TEST_HOOK", "very-secret")
        bad = chatlake("doctor")

    assert good.code == 0, good.out
    assert "✓ notify: json to ${TEST_HOOK} is set; nothing was sent to it" in good.out
    assert "valid" not in good.out.partition("notify")[2].splitlines()[0]
    assert bad.code == 4
    assert "✗ notify: " in bad.out
    assert "very-secret" not in good.out + bad.out
    assert taking.posted == []


def test_doctor_sends_a_test_to_each_target_and_reports_the_answer(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat that refuses the shape is named with what to do; a monitor's test counts as nothing."""
    with hook(204) as taken, hook(400) as refused, hook(200) as monitor:
        monkeypatch.setenv("TAKEN", taken.url)
        monkeypatch.setenv("REFUSED", refused.url)
        monkeypatch.setenv("MONITOR", monitor.url)
        notified(
            tmp_path, "- ${TAKEN}", "- {url: '${REFUSED}', format: slack}", "- ping: ${MONITOR}"
        )
        done = chatlake("doctor", "--notify-test", "--json")

    checks = {check["check"]: check for check in done.json if check["check"].startswith("notify")}
    assert done.code == 1
    assert [checks[name]["ok"] for name in ("notify[0]", "notify[1]", "notify[2]")] == [
        True, False, True,
    ]  # fmt: skip
    assert checks["notify[0]"]["detail"] == "json to ${TAKEN} took a test message (status 204)"
    assert "status 400" in checks["notify[1]"]["detail"]
    assert "`format`" in checks["notify[1]"]["remedy"]
    assert [posted["event"] for posted in taken.posted] == ["test"]
    assert [path for _, path, _ in monitor.pings] == ["/log"]
    assert "very-secret" not in done.out + done.err


def test_a_source_that_fell_silent_is_told_though_the_backup_is_complete(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first backup, which knows no before; later one, as event `silent`, exit code 0."""
    config = tmp_path / "chatlake.yaml"
    config.write_text(config.read_text().replace("- name:", "- silent_after: 36500d\n  name:", 1))
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        assert chatlake("backup").code == 0
        assert chatlake("status", "--json").json["sources"][0]["warnings"] == []
        config.write_text(config.read_text().replace("36500d", "1s"))
        loud = chatlake("status", "--json").json["sources"][0]["warnings"]
        monkeypatch.setattr("chatlake.backup.silence._REMINDER", timedelta(microseconds=1))
        done = chatlake("backup")

    assert done.code == 0
    assert "nothing new for" in loud[0]
    (posted,) = taking.posted
    assert (posted["event"], posted["status"], posted["silent"]) == (
        "silent",
        "complete",
        ["openai"],
    )
    assert "openai: nothing new for" in posted["text"]
