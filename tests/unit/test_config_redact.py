"""`redact` in the configuration: what it accepts, and what it says of anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.config import Settings, load_settings
from chatlake.errors import ConfigurationError

HEAD = """\
version: 1
lake: lake
sources:
  - {name: a, base_url: "https://example.org/v1", api_key: "${K}"}
"""


def loaded(folder: Path, redact: str) -> Settings:
    """Load a configuration with this `redact`."""
    path = folder / "chatlake.yaml"
    path.write_text(f"{HEAD}redact: {redact}\n")
    return load_settings(path)


@pytest.mark.parametrize(
    ("redact", "problem"),
    [
        ("{drop: [id]}", "redact.drop[0]: got 'id', expected a field that the lake can do without"),
        ("{drop: [messages]}", "expected a field of messages, such as messages.name"),
        ("{drop: ['*']}", "expected a field by its name first"),
        ("{drop: [metadata.]}", "expected keys with dots between them"),
        ("{hash: [input_user]}", "expected hash_key beside it: the hashes need a key"),
        ("{hash: [x], hash_key: literal}", "a literal key is refused"),
        ("{patterns: [mail]}", "expected email, phone, card, iban or keys; did you mean 'email'?"),
        ("{expressions: {email: x}}", "redact.expressions.email: got 'x', expected another name"),
        ("{expressions: {A: x}}", "expected a name of a-z, 0-9, _ and -"),
        ("{expressions: {a: '(?=x)'}}", "it has no look-around and no back references"),
        ("{drop: [a" + ".b" * 50 + "]}", "expected at most 50 keys with dots between them"),
        ("{images: hide}", "expected keep or drop"),
        ("{hashes: []}", "unknown key"),
    ],
)
def test_what_is_refused(tmp_path: Path, redact: str, problem: str) -> None:
    """Each with the key's path, the value and what is expected."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, redact)
    assert problem in refused.value.message


def test_an_expression_stands_as_it_is_written(tmp_path: Path) -> None:
    """A dollar and braces in it are not references."""
    settings = loaded(tmp_path, "{expressions: {a: 'x${2}', b: '[0-9]{4}$'}}")
    assert dict(settings.redact.expressions) == {"a": "x${2}", "b": "[0-9]{4}$"}


@pytest.mark.parametrize(
    ("key", "problem"),
    [("short", "has 5 characters, not 16 or more"), ("", "HASH_KEY"), ("k" * 16, "")],
)
def test_the_key_is_checked_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, problem: str
) -> None:
    """A key that is missing or can be guessed is an error that names it, and does not show it."""
    monkeypatch.setenv("K", "sk-0123456789")
    monkeypatch.setenv("HASH_KEY", key)
    settings = loaded(tmp_path, "{hash: [input_user], hash_key: '${HASH_KEY}'}")
    if not problem:
        settings.check_secrets()
        return
    with pytest.raises(ConfigurationError) as refused:
        settings.check_secrets()
    assert problem in refused.value.message
    assert "short" not in refused.value.message


def test_another_key_or_rule_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the rules does not matter, and nothing of them can be read from it."""
    found = []
    for key, redact in (
        ("k" * 16, "{drop: [a, b], hash: [c], hash_key: '${HASH_KEY}'}"),
        ("k" * 16, "{drop: [b, a], hash: [c], hash_key: '${HASH_KEY}'}"),
        ("l" * 16, "{drop: [a, b], hash: [c], hash_key: '${HASH_KEY}'}"),
        ("k" * 16, "{drop: [a], hash: [c], hash_key: '${HASH_KEY}'}"),
    ):
        monkeypatch.setenv("HASH_KEY", key)
        redaction = loaded(tmp_path, redact).redact.ready()
        assert redaction is not None
        found.append(redaction.fingerprint)
    assert found[0] == found[1]
    assert len(set(found)) == 3
    assert loaded(tmp_path, "{}").redact.ready() is None
