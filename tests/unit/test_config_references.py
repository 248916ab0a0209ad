"""References: expanded where they may be, kept unread and unshown where they are secret."""

import pickle
from pathlib import Path

import pytest

from chatlake.config import SecretReference, Settings, parse_settings
from chatlake.config.references import expand
from chatlake.errors import ConfigurationError

FILE = Path("/etc/chatlake/chatlake.yaml")
SECRET = "sk-proj-abcdefghijklmnop1234"
ENVIRON = {"A": "one", "B": "two", "EMPTY": ""}


def _settings(source: str = "", api_key: str = "${CHATLAKE_TEST_KEY}") -> Settings:
    return parse_settings(
        "version: 1\nlake: lake\nsources:\n- name: openai\n  base_url: https://h/v1\n"
        f"  api_key: {api_key}\n{source}",
        FILE,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $A {B}", "plain $A {B}"),
        ("${A}", "one"),
        ("x-${A}/${B}-y", "x-one/two-y"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-}", ""),
        ("${A:-other}", "one"),
        ("$${A} ${A}", "${A} one"),
    ],
)
def test_expands(text: str, expected: str) -> None:
    """References are replaced, defaults fill gaps, `$${` stands for `${`."""
    assert expand(text, ENVIRON) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${NONE}", "environment variable NONE is not set"),
        ("x${EMPTY}", "environment variable EMPTY is empty"),
        ("${A", "for a plain"),
        ("${}", "expected references like"),
        ("${A B}", "expected references like"),
        ("${1A}", "expected references like"),
    ],
)
def test_refuses_bad_references(text: str, problem: str) -> None:
    """An unset variable is named; what is no reference is explained."""
    with pytest.raises(ValueError, match=problem):
        expand(text, ENVIRON)


def test_key_is_read_late_and_stored_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings load without the key, find it when asked, and never show it."""
    monkeypatch.delenv("CHATLAKE_TEST_KEY", raising=False)
    settings = _settings("  headers: {Authorization: 'Bearer ${CHATLAKE_TEST_KEY}'}\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.check_secrets()
    assert caught.value.message == (
        f"{FILE}:6: sources[0].api_key: the environment variable CHATLAKE_TEST_KEY is not set\n"
        f"{FILE}:7: sources[0].headers.Authorization: "
        "the environment variable CHATLAKE_TEST_KEY is not set"
    )
    assert caught.value.hint == "export CHATLAKE_TEST_KEY=…"

    monkeypatch.setenv("CHATLAKE_TEST_KEY", f" {SECRET}\n")
    settings.check_secrets()
    source = settings.sources[0]
    assert source.api_key.resolve() == SECRET
    assert source.resolved_headers() == {"Authorization": f"Bearer {SECRET}"}
    shown = (
        repr(settings) + settings.model_dump_json() + str(settings) + repr(pickle.dumps(settings))
    )
    assert SECRET not in shown
    assert "SecretReference('${CHATLAKE_TEST_KEY}')" in repr(settings)
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("value", ["sk-ä", "a\nb", "a\x00b"])
def test_secret_that_no_header_carries(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A key with a line break or other stray character is refused without being shown."""
    reference = SecretReference.parse("secret:key")
    with pytest.raises(ConfigurationError, match="not allowed in an HTTP header") as caught:
        reference.resolve(lambda _: value)
    assert value not in caught.value.message


@pytest.mark.parametrize("value", ["", "  \n"])
def test_empty_secret(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An empty variable is an error of its own, with the same remedy."""
    monkeypatch.setenv("CHATLAKE_TEST_KEY", value)
    with pytest.raises(ConfigurationError, match="CHATLAKE_TEST_KEY} is empty") as caught:
        SecretReference.parse("${CHATLAKE_TEST_KEY}").resolve()
    assert caught.value.hint == "export CHATLAKE_TEST_KEY=…"


def test_prefect_secret_goes_through_the_loader() -> None:
    """`secret:NAME` asks the loader for NAME; without a loader or a block it is a clear error."""
    blocks = {"openai-key": SECRET}
    settings = _settings(api_key="secret:openai-key")
    settings.check_secrets(blocks.__getitem__)
    assert settings.sources[0].api_key == SecretReference("prefect", "openai-key")
    assert settings.sources[0].api_key.resolve(blocks.__getitem__) == SECRET
    with pytest.raises(ConfigurationError, match=r"secret:openai-key is a Prefect Secret"):
        settings.check_secrets()
    with pytest.raises(ConfigurationError, match="no Prefect Secret block named 'openai-key'"):
        settings.check_secrets({}.__getitem__)


@pytest.mark.parametrize(
    "literal",
    [
        SECRET,
        "0123456789abcdef0123456789abcdef",
        f"${{KEY:-{SECRET}}}",
        f"${{{SECRET}}}",
        f"secret:{SECRET}",
        f"Bearer {SECRET}",
        f"[{SECRET}]",
        f"{{{SECRET}: x}}",
        "OPENAI_API_KEY",
        "$OPENAI_API_KEY",
        "1234567890123",
        "''",
    ],
)
def test_literal_key_is_refused_and_not_shown(literal: str) -> None:
    """Whatever stands where a reference should is refused, and not one character of it shown."""
    with pytest.raises(ConfigurationError) as caught:
        _settings(api_key=literal)
    message = caught.value.message
    assert message.startswith(f"{FILE}:6: sources[0].api_key: got a")
    assert "expected a reference alone: ${NAME} for an environment variable" in message
    assert SECRET not in message + caught.value.hint
    assert literal.strip("'[{") not in message or literal == "''"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (f"  headers: {{X-Api-Key: {SECRET}}}", "sources[0].headers.X-Api-Key"),
        ("  headers: {api-key: plainpassword}", "sources[0].headers.api-key"),
        (f"  headers: {{Authorization: Bearer {SECRET}}}", "sources[0].headers.Authorization"),
        (f"  headers: {{X-Other: Bearer {SECRET}}}", "sources[0].headers.X-Other"),
        (f"  headers: {{X-Other: {SECRET}}}", "sources[0].headers.X-Other"),
        (f"  headers: 'Authorization: {SECRET}'", "sources[0].headers"),
        (f"  headers: [{SECRET}]", "sources[0].headers"),
        (f"  query: {{subscription-key: {SECRET}}}", "sources[0].query.subscription-key"),
        (f"  apikey: {SECRET}", "sources[0].apikey"),
        (f"  {SECRET}: x", "sources[0].…"),
        (f"  images: {SECRET}", "sources[0].images"),
        (f"  lookback: {SECRET}", "sources[0].lookback"),
        (f"  images: *{SECRET}", "not valid YAML"),
        (f"  images: !{SECRET} x", "sources[0].images"),
        (f"  images: '{SECRET}", "not valid YAML"),
    ],
)
def test_secret_in_the_wrong_place_is_not_shown(source: str, place: str) -> None:
    """A key that stands elsewhere in the file does not come out in the error."""
    with pytest.raises(ConfigurationError) as caught:
        _settings(source)
    assert place in caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint
    assert "plainpassword" not in caught.value.message
    assert caught.value.__cause__ is None


def test_values_from_the_environment_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expanded value that is wrong is shown as it is written."""
    monkeypatch.setenv("CHATLAKE_TEST_VALUE", "hush")
    with pytest.raises(
        ConfigurationError, match=r"got '\$\{CHATLAKE_TEST_VALUE\}', expected"
    ) as caught:
        _settings("  lookback: ${CHATLAKE_TEST_VALUE}")
    assert "hush" not in caught.value.message


def test_references_are_expanded_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, numbers and choices may come from the environment, alone or in parts."""
    monkeypatch.setenv("CHATLAKE_TEST_VALUE", "7")
    source = _settings(
        "  lookback: ${CHATLAKE_TEST_VALUE}h\n"
        "  images: ${CHATLAKE_TEST_NONE:-reference}\n"
        "  headers: {X-Tag: 'v${CHATLAKE_TEST_VALUE}', X-Key-Id: '${CHATLAKE_TEST_NONE}'}\n"
        "  pace:\n    concurrency: ${CHATLAKE_TEST_VALUE}\n"
    ).sources[0]
    assert source.lookback.total_seconds() == 7 * 3600
    assert source.images == "reference"
    assert source.headers == {
        "X-Tag": "v7",
        "X-Key-Id": SecretReference("env", "CHATLAKE_TEST_NONE"),
    }
    assert source.pace.concurrency == 7


def test_unset_variables_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset variable at load names file, line, key path, variable and what to type."""
    monkeypatch.delenv("CHATLAKE_TEST_NONE", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        _settings("  lookback: ${CHATLAKE_TEST_NONE}")
    assert caught.value.message == (
        f"{FILE}:7: sources[0].lookback: the environment variable CHATLAKE_TEST_NONE is not set"
    )
    assert caught.value.hint == "export CHATLAKE_TEST_NONE=…"
