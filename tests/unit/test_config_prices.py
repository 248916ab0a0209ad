"""`prices` in the configuration: what it takes, and what it says of the rest."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chatlake.config import Settings, parse_settings, template
from chatlake.errors import ConfigurationError

HEAD = "version: 1\nlake: lake\nsources:\n- {name: a, base_url: https://h/v1, api_key: '${KEY}'}\n"
GOOD = {"model": "gpt-*", "valid_from": "2026-01-31", "input": "1.5", "output": "2"}


def parsed(entry: dict[str, str]) -> Settings:
    """Parse a configuration with one price."""
    told = ", ".join(f"{key}: {value}" for key, value in entry.items())
    return parse_settings(f"{HEAD}prices:\n- {{{told}}}\n", Path("chatlake.yaml"))


def test_a_price_is_read() -> None:
    """Pattern, day and dollars; a cached price that is left out is as the other."""
    (price,) = parsed(GOOD).prices
    assert (price.model, price.valid_from) == ("gpt-*", date(2026, 1, 31))
    assert (price.input, price.cached_input, price.output) == (1.5, None, 2.0)


def test_no_price_is_shipped() -> None:
    """The template's example stands in a comment, and its model exists nowhere."""
    assert parse_settings(template(), Path("chatlake.yaml")).prices == ()
    assert "invented" in template()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("valid_from", "31.1.2026", "expected a day"),
        ("valid_from", "2026-02-30", "expected a day"),
        ("input", "-1", "expected dollars per million tokens"),
        ("output", "true", "expected dollars per million tokens"),
        ("output", "lots", "expected dollars per million tokens"),
        ("output", ".inf", "expected dollars per million tokens"),
        ("model", "'two words'", "expected a model"),
        ("modell", "x", "did you mean 'model'"),
    ],
)
def test_a_wrong_price_is_named(key: str, value: str, told: str) -> None:
    """Exit code 4, with the place and what is expected."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        parsed({**GOOD, key: value})
    assert f"prices[0].{key}" in caught.value.message
