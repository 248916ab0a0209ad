"""`chatlake demo` from beginning to end, with few completions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatlake.cli import main
from tests.flows.prefect_server import processes_with

MARK = "CHATLAKE_TEST_MARK"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demo_shows_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One command backs up with the Prefect flow, asks the lake, and leaves no process.

    It does so behind a proxy that does not reach this machine, too.
    """
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setattr("chatlake.cli.demo_place.COMPLETIONS", 240)

    code = main(["demo", "--directory", str(tmp_path / "demo")])

    out, err = capfd.readouterr()
    assert code == 0, err
    steps = [line[:3] for line in out.splitlines() if line[1:3] == "/5"]
    assert steps == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert "Completed: demo: 240 new, 0 failed" in out
    assert out.count("\n-- ") == 3
    assert out.count(" ms)\n") == 3
    assert "chatlake sql --config" in out
    assert "chatlake browse --config" in out
    (shown,) = (line for line in out.splitlines() if " show --config " in line)
    assert main(["show", "--config", str(tmp_path / "demo/demo.yaml"), shown.split()[-1]]) == 0
    assert "[image " in capfd.readouterr().out
    assert "</html>" in (tmp_path / "demo/report.html").read_text(encoding="utf-8")
    assert "leaked" not in out + err
    assert "demo-key" not in out + err
    assert processes_with(f"{MARK}={tmp_path}") == []


@pytest.mark.slow
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while Prefect is starting: exit code 130, and every process is gone."""
    program = "from chatlake.cli import main; raise SystemExit(main())"
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_HOME"}
    process = subprocess.Popen(
        [sys.executable, "-c", program, "demo", "--directory", str(tmp_path / "demo")],
        env={**environment, MARK: str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Starting temporary server" in line:
            break
    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert processes_with(f"{MARK}={tmp_path}") == []
