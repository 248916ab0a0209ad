"""`notify` in the configuration: what it may be, and that it is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.config import Settings, parse_settings
from chatlake.errors import ConfigurationError

SECRET = "https://hooks.example.com/services/T0/B1/very-secret"
GOOD = """\
version: 1
lake: lake
sources: [{name: openai, base_url: "https://api.openai.com/v1", api_key: "${CHATLAKE_TEST_KEY}"}]
"""


def parse(line: str) -> Settings:
    """Load a configuration with one more line."""
    return parse_settings(f"{GOOD}{line}\n", Path("chatlake.yaml"))


@pytest.mark.parametrize("value", ["'${TEST_HOOK}'", f"'{SECRET}'", "'https://${TEST_HOST}/T0'"])
def test_an_address_is_read_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address, a reference to one, or one with a reference in it: no text of it holds it."""
    monkeypatch.setenv("TEST_HOOK", SECRET)
    monkeypatch.setenv("TEST_HOST", "hooks.example.com/services")

    settings = parse(f"notify: {value}")

    assert settings.notify is not None
    assert settings.notify.resolve().startswith("https://hooks.example.com/services/T0")
    shown = f"{settings!r} {settings.notify} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hooks.example.com" not in shown


def test_without_it_nobody_is_told() -> None:
    """It is null by default."""
    assert parse("").notify is None
    assert parse("notify: null").notify is None


@pytest.mark.parametrize(
    "value",
    ["very-secret", "ftp://h/very-secret", "'https://h:very-secret@h/'", "3", "{a: very-secret}"],
)
def test_what_is_no_address_is_refused_unseen(value: str) -> None:
    """Exit code 4 with the key and what is expected; the value is not shown."""
    with pytest.raises(ConfigurationError, match=r"chatlake\.yaml:4: notify: .*expected an http"
                       ) as caught:  # fmt: skip
        parse(f"notify: {value}")

    assert "very-secret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_wrong_key_is_named() -> None:
    """A misspelt key names the right one."""
    with pytest.raises(ConfigurationError, match="did you mean 'notify'"):
        parse("notfy: null")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "TEST_HOOK is not set"), ("", "is empty"), ("very-secret", "is not an http")],
)
def test_a_reference_to_no_address_is_told_before_a_backup(
    value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is checked with the keys: unset, empty, or something else than an address."""
    monkeypatch.setenv("CHATLAKE_TEST_KEY", "sk-x")
    if value is None:
        monkeypatch.delenv("TEST_HOOK", raising=False)
    else:
        monkeypatch.setenv("TEST_HOOK", value)

    with pytest.raises(ConfigurationError, match=expected) as caught:
        parse("notify: ${TEST_HOOK}").check_secrets()

    assert caught.value.message.startswith("chatlake.yaml:4: notify: ")
    assert "very-secret" not in f"{caught.value.message} {caught.value.hint}"
