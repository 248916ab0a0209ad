"""The figures behind the progress bar, and the lines that stand for it."""

from __future__ import annotations

import pytest

from chatlake.cli import progress
from chatlake.cli.progress import PlainProgress, Pulse
from chatlake.model.manifest import SourceRun


def _run(**figures: int | str) -> SourceRun:
    values = {"status": "running", **figures}
    return SourceRun(run_id="r", source="s", mode="full", started_at="", **values)  # type: ignore[arg-type]


def test_completions_count_one_by_one_between_commits() -> None:
    """Each call without a commit is one completion more; a commit corrects the number upwards."""
    pulse = Pulse("full", 0.0)
    for _ in range(3):
        pulse.take(_run(), 0.1, 1.0)
    assert pulse.found == 3
    pulse.take(_run(listed=5), None, 2.0)
    assert pulse.found == 5
    pulse.take(_run(listed=5, status="complete"), None, 3.0)
    assert (pulse.found, pulse.elapsed_s(9.0)) == (5, 3.0)


def test_the_time_left_follows_the_fraction() -> None:
    """A quarter done in ten seconds: thirty are left; unknown at the beginning."""
    pulse = Pulse("full", 0.0)
    assert pulse.left_s(10.0) is None
    pulse.take(_run(), 0.25, 10.0)
    assert pulse.left_s(10.0) == pytest.approx(30.0)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A slow start is forgotten after fifteen seconds."""
    pulse = Pulse("full", 0.0)
    for second in range(60):
        for _ in range(1 if second < 30 else 10):
            pulse.take(_run(), None, float(second))
    assert pulse.rate(60.0) == pytest.approx(10.0, rel=0.1)


def test_lines_come_at_most_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A minute of progress is five lines on standard error, with count, rate and time left."""
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = PlainProgress()
    shown.source_started("openai", "full")
    for tenth in range(600):
        now = 100.0 + tenth / 10
        shown.progressed("openai", _run(), tenth / 600)
    shown.waiting("openai", 12.0, "/chat/completions: 429 Too Many Requests")

    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 5
    assert err.splitlines()[0] == "openai: 101 completions, 10.0/s, about 50 s left"


def test_a_wait_says_why() -> None:
    """Rate limits by name, anything else in the service's words."""
    pulse = Pulse("full", 0.0)
    pulse.wait(12.0, "/chat/completions: 429 Too Many Requests", 0.0)
    assert progress._waiting(pulse, 0.0) == "rate limited, pausing 12 s"
    pulse.wait(20.0, "/chat/completions: 502 Bad Gateway", 0.0)
    assert progress._waiting(pulse, 0.5) == "retrying in 20 s: 502 Bad Gateway"
