"""`chatlake simulate`: a server to try chatlake against."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest

from chatlake.simulator import Faults, Scenario
from tests.command_line import CommandLine, ended, start
from tests.support import KEY_VARIABLE


def _configuration(text: str) -> str:
    """Return the configuration that the command shows, as it would be pasted."""
    lines = text.splitlines()
    begin = lines.index("  version: 1")
    end = next(i for i in range(begin, len(lines)) if not lines[i])
    return "\n".join(line.removeprefix("  ") for line in lines[begin:end])


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_can_be_pasted(tmp_path: Path, number: signal.Signals) -> None:
    """The configuration shown backs up what it serves; a signal ends it quietly."""
    server = start(tmp_path, "simulate", "--port", "0", "--completions", "30", "--seed", "3")
    try:
        assert server.stdout is not None
        shown = ""
        while "chatlake sql" not in shown:
            line = server.stdout.readline()
            assert line, "it ended"
            shown += line
        text = _configuration(shown).replace("SIMULATOR_API_KEY", KEY_VARIABLE)
        (tmp_path / "simulator.yaml").write_text(text)
        done = ended(start(tmp_path, "backup", "--config", "simulator.yaml", "--json"))
    finally:
        server.send_signal(number)
    stopped = ended(server, timeout_s=20)

    assert done.json["sources"][0]["new"] == 30
    assert stopped.err == ""
    assert stopped.code in (0, 130, 143, -number)


def test_every_field_of_scenario_and_faults_is_an_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The help names each with its text."""
    done = CommandLine(capsys)("simulate", "--help")

    assert done.code == 0
    words = " ".join(done.out.split())
    for spec in (*dataclasses.fields(Scenario), *dataclasses.fields(Faults)):
        assert f"--{spec.name.replace('_', '-')} " in words
        assert spec.metadata["help"].split()[0] in words
    assert "Examples:" in done.out


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and another port as the remedy."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = CommandLine(capsys)("simulate", "--port", str(taken.getsockname()[1]))

    assert done.code == 1
    assert "--port" in done.err
