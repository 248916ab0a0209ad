"""Sizes in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.backup.ports import MAX_BODY
from chatlake.config.pace import PaceSettings
from chatlake.config.sizes import format_size, parse_size
from chatlake.errors import ConfigurationError
from tests.support import settings_for


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1KiB", 1024),
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("100MB", 100_000_000),
        ("64KB", 64_000),
    ],
)
def test_sizes_are_read_and_written(text: str, size: int) -> None:
    """Each unit counts what it says, and the size is written as it was read."""
    assert parse_size(text) == size
    assert format_size(size) == text


@pytest.mark.parametrize(
    "text", ["", "512", "512M", "512mib", "512 MiB", "1.5GiB", "-1MiB", "MiB", "1MiBx", "¹MiB"]
)
def test_other_texts_are_refused(text: str) -> None:
    """A size has a number and a unit, exactly."""
    with pytest.raises(ValueError, match="expected a size such as 512MiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0KiB", "1023KB0"[:4] + "B", "65GiB", "9" * 5000 + "GiB"])
def test_sizes_have_bounds(text: str) -> None:
    """Nothing below 1 KiB, nothing that no memory holds; a long number costs no time."""
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_the_default_is_one(tmp_path: Path) -> None:
    """The configuration, the client and the backup agree on it."""
    assert PaceSettings().max_body == MAX_BODY
    settings = settings_for(tmp_path, "http://127.0.0.1:1/v1", pace={"max_body": "3MiB"})
    assert settings.sources[0].pace.max_body == 3 << 20


@pytest.mark.parametrize("value", [512, "512", True, ["512MiB"], "lots"])
def test_a_bad_value_is_named(tmp_path: Path, value: object) -> None:
    """Key path, value and what is expected stand in the message."""
    with pytest.raises(ConfigurationError, match=r"max_body.*expected a size such as 512MiB"):
        settings_for(tmp_path, "http://127.0.0.1:1/v1", pace={"max_body": value})
