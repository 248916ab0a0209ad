"""Durations: what is read, what is refused, and that writing and reading agree."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatlake.config import format_duration, parse_duration

MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("30d", timedelta(days=30)),
        ("60s", timedelta(seconds=60)),
        ("15m", timedelta(minutes=15)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("1m5ms", timedelta(minutes=1, milliseconds=5)),
        ("0s", timedelta(0)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_reads(text: str, expected: timedelta) -> None:
    """Every unit, alone or combined, means what it says."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "h",
        "24 h",
        " 24h",
        "24h\n",
        "1.5h",
        "-1h",
        "+1h",
        "30m1h",
        "1h1h",
        "24H",
        "1day",
        "²h",
    ],
)
def test_refuses(text: str) -> None:
    """Anything but whole numbers with units, largest first, is refused with an example."""
    with pytest.raises(ValueError, match="expected a duration such as 24h"):
        parse_duration(text)


def test_number_alone_is_explained() -> None:
    """A number without a unit is refused with the two likeliest meanings."""
    with pytest.raises(ValueError, match="needs a unit: write 30s or 30h"):
        parse_duration("30")


@pytest.mark.parametrize("text", ["36501d", "36500d1ms", "9" * 5000 + "h"])
def test_longest(text: str) -> None:
    """More than a hundred years is refused, however many digits it has."""
    with pytest.raises(ValueError, match="at most 36500d"):
        parse_duration(text)


@given(st.integers(0, timedelta(days=36500) // MILLISECOND))
def test_round_trip(milliseconds: int) -> None:
    """Every duration of whole milliseconds is read back from its own text."""
    duration = milliseconds * MILLISECOND
    assert parse_duration(format_duration(duration)) == duration


def test_what_is_said_of_many_digits_is_short() -> None:
    """A number without end is not repeated."""
    with pytest.raises(ValueError, match=r"^expected ") as refused:
        parse_duration("1" * 100_000)
    assert len(str(refused.value)) < 200
