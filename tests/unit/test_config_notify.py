"""`notify` in the configuration: what it may be, and that it is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from chatlake.config import Settings, json_schema, parse_settings
from chatlake.config.document import parse as read
from chatlake.errors import ConfigurationError

SCHEMA = Draft202012Validator(json_schema())
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

    (target,) = settings.notify
    assert target.url is not None
    assert target.url.resolve().startswith("https://hooks.example.com/services/T0")
    shown = f"{settings!r} {target} {target!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hooks.example.com" not in shown


def test_without_it_nobody_is_told() -> None:
    """It is null by default, and an empty list means the same."""
    for line in ("", "notify: null", "notify: []"):
        assert parse(line).notify == ()


def test_an_address_alone_is_json_for_what_did_not_end_well() -> None:
    """The short form and a section with only `url` mean the same."""
    (short,), (long,) = (parse(f"notify: {text}").notify for text in ("'${H}'", "{url: '${H}'}"))
    assert short == long
    assert (short.format, short.on) == ("json", ("incomplete", "failed", "silent"))


def test_several_targets_of_every_kind_are_read() -> None:
    """An address, a chat, a monitor by its address, and one with an address for each signal."""
    plain, chat, monitor, other = parse(
        "notify: ['${A}', {url: '${B}', format: slack, on: [complete]}, {ping: 'secret:hc'}, "
        "{ping: {success: '${UP}', failure: 'file:/run/down'}}]"
    ).notify

    assert (str(plain), str(chat)) == ("json to ${A}", "slack to ${B}")
    assert (str(monitor), str(other)) == ("ping secret:hc", "ping ${UP}, file:/run/down")
    assert chat.on == ("complete",)


@pytest.mark.parametrize(
    ("value", "place", "expected"),
    [
        ("[{url: '${H}', format: slak}]", "notify[0].format", "did you mean 'slack'"),
        ("{url: '${H}', on: [faild]}", "notify.on[0]", "did you mean 'failed'"),
        ("{url: '${H}', on: []}", "notify.on", "at least one entry"),
        ("{url: '${H}', ping: '${H}'}", "notify.url", "either url or ping"),
        ("['${H}', {ping: '${H}', on: [failed]}]", "notify[1].on", "expected only with url"),
        ("{ping: {start: '${H}'}}", "notify.ping", "or success"),
        ("{ping: {url: '${H}', failure: '${H}'}}", "notify.ping.failure", "either url, or success"),
        ("{ping: {success: very-secret}}", "notify.ping.success", "expected an http"),
        ("{url: very-secret}", "notify.url", "expected an http"),
        ("{urls: very-secret}", "notify.urls", "unknown key; did you mean 'url'"),
        ("{format: slack}", "notify", "expected url or ping"),
        ("[null]", "notify[0]", "expected an http"),
    ],
)
def test_a_wrong_section_is_named_where_it_stands(value: str, place: str, expected: str) -> None:
    """The path is as the file has it, whichever short form that is; the schema agrees."""
    with pytest.raises(ConfigurationError) as caught:
        parse(f"notify: {value}")

    message = caught.value.message
    assert message.startswith(f"chatlake.yaml:4: {place}: ")
    assert expected in message
    assert "very-secret" not in message
    assert list(SCHEMA.iter_errors(read(f"{GOOD}notify: {value}\n", "chatlake.yaml").data))


@pytest.mark.parametrize(
    "value",
    ["very-secret", "ftp://h/very-secret", "'https://h:very-secret@h/'", "3", "[very-secret]"],
)
def test_what_is_no_address_is_refused_unseen(value: str) -> None:
    """Exit code 4 with the key and what is expected; the value is not shown."""
    with pytest.raises(ConfigurationError, match=r"chatlake\.yaml:4: notify(\[0\])?: .*expected an http"
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
