"""The simulator as a process of its own: `python -m chatlake.simulator`."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from chatlake.simulator import Faults, Scenario, running
from chatlake.simulator.__main__ import main

COMMAND = [sys.executable, "-m", "chatlake.simulator", "--port", "0"]


def first_line(process: subprocess.Popen[str]) -> str:
    """What the process printed first."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answers(url: str) -> bool:
    """Whether something answers there."""
    try:
        httpx.get(f"{url}/chat/completions", headers={"api-key": "k"}, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def test_the_first_line_is_the_url() -> None:
    """The process prints its base URL, serves what its options say, and ends when terminated."""
    command = [*COMMAND, "--completions", "7", "--seed", "4", "--now", "1800000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = first_line(process)
            got = httpx.get(
                f"{url}/chat/completions?order=asc", headers={"api-key": "k"}, trust_env=False
            ).json()
        finally:
            process.terminate()
        assert process.wait(10) in {0, -signal.SIGTERM}
    with running(Scenario(completions=7, seed=4, now=1_800_000_000)) as same:
        assert got["data"] == [record["completion"] for record in same.truth()]


def test_it_ends_with_its_parent() -> None:
    """With --exit-with-parent no server outlives the process that started it."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline().strip(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *COMMAND, "--exit-with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        child, url = first_line(parent).split()
        assert answers(url)
        parent.kill()
        parent.wait(10)
    deadline = time.monotonic() + 10
    while answers(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    ended = not answers(url)
    if not ended:
        os.kill(int(child), signal.SIGKILL)
    assert ended


def test_a_taken_port_is_one_clear_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use ends the command with what happened and what to do."""
    with running(Scenario(completions=1)) as server:
        port = server.base_url.split(":")[2].split("/")[0]
        assert main(["--port", port]) == 1
    told = capsys.readouterr().err
    assert port in told
    assert "--port" in told


def test_an_option_out_of_range_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A share above 1 ends with exit code 2 and the option's name."""
    assert main(["--image-share", "3"]) == 2
    assert "image_share" in capsys.readouterr().err


def test_every_field_is_an_option_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each field of Scenario and Faults has a help text, and an option that shows it."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for spec in (*dataclasses.fields(Scenario), *dataclasses.fields(Faults)):
        assert spec.metadata["help"]
        assert "--" + spec.name.replace("_", "-") in shown
