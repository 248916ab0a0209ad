"""What holds for all tests: property tests find the same examples on every machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.command_line import CommandLine
from tests.support import KEY, KEY_VARIABLE

settings.register_profile("dev", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("ci", max_examples=150, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture
def chatlake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Run commands in a folder of their own, with the tests' key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    return CommandLine(capsys)
