"""Secrets in files, through the commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.hook import hook
from tests.support import KEY, NOW, write_config


def test_backup_with_a_key_in_a_file(chatlake: CommandLine, tmp_path: Path) -> None:
    """The key is read at each run; one that is wrong is not shown, and the next one counts."""
    key = tmp_path / "key"
    with running(Scenario(completions=3, seed=1, now=NOW, api_key=KEY)) as server:
        write_config(tmp_path, server.base_url, api_key=f"file:{key}")
        key.write_text("an-old-key-that-was-revoked\n")
        refused = chatlake("backup")
        key.write_text(KEY + "\n")
        assert chatlake("doctor").code == 0
        assert chatlake("backup").code == 0
    assert refused.code == 5
    assert "an-old-key" not in refused.out + refused.err


@pytest.mark.parametrize("place", ["api_key", "header", "bearer", "query", "notify"])
def test_missing_file_is_told_before_anything_is_asked(
    chatlake: CommandLine, tmp_path: Path, place: str
) -> None:
    """Wherever the reference stands: exit code 4, one line that names it, and what to do."""
    reference = f"file:{tmp_path}/missing"
    more: dict[str, Any] = {
        "api_key": {"api_key": reference},
        "header": {"headers": {"X-Gateway": reference}},
        "bearer": {"headers": {"Authorization": f"Bearer {reference}"}},
        "query": {"query": {"sig": reference}},
        "notify": {},
    }[place]
    with running(Scenario(completions=3, seed=1, now=NOW, api_key=KEY)) as server:
        config = write_config(tmp_path, server.base_url, **more)
        if place == "notify":
            config.write_bytes(config.read_bytes() + f"notify: {reference}\n".encode())
        run = chatlake("backup")
        doctor = chatlake("doctor")
        assert not server.stats()["requests"] or place == "notify"
    assert run.code == doctor.code == 4
    (line,) = [line for line in run.err.splitlines() if line.startswith("error:")]
    assert f"{reference}: there is no such file" in line
    assert "hint: Put only the secret into this file" in run.err
    assert "there is no such file" in doctor.out


def test_pipe_does_not_hold_a_backup_up(chatlake: CommandLine, tmp_path: Path) -> None:
    """A pipe that nobody writes to is a mistake in the configuration, not a wait."""
    os.mkfifo(tmp_path / "key")
    write_config(tmp_path, "http://127.0.0.1:9/v1", api_key=f"file:{tmp_path}/key")
    run = chatlake("backup")
    assert run.code == 4
    assert "a pipe, a socket or a device" in run.err


def test_address_of_notify_in_a_file(chatlake: CommandLine, tmp_path: Path) -> None:
    """`notify` may be a file too."""
    with hook(200) as taking:
        (tmp_path / "hook").write_text(taking.url + "\n")
        config = write_config(
            tmp_path, "http://127.0.0.1:9/v1", pace={"max_attempts": 1, "give_up_after": "1s"}
        )
        config.write_bytes(config.read_bytes() + f"notify: file:{tmp_path}/hook\n".encode())
        assert chatlake("backup").code == 6
    assert len(taking.posted) == 1
