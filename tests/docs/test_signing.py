"""The signatures of docs/guarantees.md: its commands run, and a forged past does not pass."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chatlake.lake.lake import Lake
from tests.command_line import WHOLE, environment
from tests.docs.markdown import ROOT, blocks
from tests.lake_writer import commit
from tests.support import write_config

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines of the page in a folder, with that folder's key and this source tree's chatlake."""
    lines = script.replace("~/.ssh", str(folder))
    env = environment(PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
    command = ["/bin/sh", "-ec", lines]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a lake of two commits, a key, a list of signers, and `chatlake` on the path."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    lake = Lake.open(tmp_path / "lake", create=True)
    for key in ("first", "second"):
        with lake.lock():
            commit(lake, key)
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "signers").write_text(f"backup@example.org {key.with_suffix('.pub').read_text()}")
    program = tmp_path / "bin" / "chatlake"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(WHOLE)} "$@"\n')
    program.chmod(0o755)
    return tmp_path


def test_the_page_signs_and_checks(folder: Path) -> None:
    """The signature is good while the lake only grows; another text and a lost commit do not pass."""
    sign, check = blocks(ROOT / "docs" / "guarantees.md", "sh")
    assert run(sign, folder).returncode == 0
    lake = Lake.open(folder / "lake")
    with lake.lock():
        commit(lake, "third")
    done = run(check, folder)
    assert done.returncode == 0, done.stderr
    assert 'Good "chatlake" signature for backup@example.org' in done.stdout
    assert "its newest" not in done.stdout

    signed = (folder / "head.txt").read_text()
    (folder / "head.txt").write_text(signed.replace(signed[0], "f" if signed[0] != "f" else "0", 1))
    assert "Could not verify signature" in run(check, folder).stdout

    (folder / "head.txt").write_text(signed)
    for path in sorted((folder / "lake" / "manifests").glob("0*.json"))[1:]:
        path.unlink()
    done = run(check, folder)
    assert done.returncode == 7
    assert "no commit with the fingerprint" in done.stdout + done.stderr
