"""The key does not go over plain HTTP to another machine, unless that is permitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.support import write_config

ELSEWHERE = "http://gateway.invalid/v1"


@pytest.mark.parametrize("words", [["backup"], ["backup", "--dry-run"], ["doctor"], ["status"]])
def test_plain_http_is_a_mistake(chatlake: CommandLine, tmp_path: Path, words: list[str]) -> None:
    """Every command refuses it with exit code 4 and one line that says what to do."""
    write_config(tmp_path, ELSEWHERE)
    run = chatlake(*words)
    assert run.code == 4
    (line,) = [line for line in (run.out + run.err).splitlines() if ELSEWHERE in line]
    assert "sources[0].base_url" in line
    assert "allow_http: true" in line


def test_permitted_plain_http_is_told_by_doctor(chatlake: CommandLine, tmp_path: Path) -> None:
    """With `allow_http` the source is asked, and `doctor` says what can be read on the way."""
    write_config(tmp_path, ELSEWHERE, allow_http=True, pace={"give_up_after": "1s"})
    assert chatlake("backup").code == 6
    checks = {check["check"]: check for check in chatlake("doctor", "--json").json}
    assert checks["openai: allow_http"]["level"] == "warning"
    assert "gateway.invalid" in checks["openai: allow_http"]["detail"]


def test_this_machine_needs_no_permission(chatlake: CommandLine, tmp_path: Path) -> None:
    """Nobody can listen on loopback, so there is no warning."""
    write_config(tmp_path, "http://127.0.0.1:9/v1", pace={"give_up_after": "1s"})
    assert "allow_http" not in chatlake("doctor").out
