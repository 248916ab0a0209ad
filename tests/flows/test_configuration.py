"""Which configuration a flow takes: never the repository's example by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.config import template
from chatlake.errors import ConfigurationError
from chatlake.flows.configuration import flow_settings, source_names
from tests.flows.script import REPOSITORY, finish, start

EXAMPLE = (REPOSITORY / "config/chatlake.yaml").read_text()
# The same values: as another editor, another system or an impatient reader may have left it.
SPELLINGS = {
    "as it is": EXAMPLE,
    "windows": EXAMPLE.replace("\n", "\r\n"),
    "without comments": "\n".join(
        line.partition(" #")[0]
        for line in EXAMPLE.splitlines()
        if not line.lstrip().startswith("#")
    ),
    "quoted": EXAMPLE.replace("${OPENAI_API_KEY}", '"${OPENAI_API_KEY}"', 1),
}
CHANGES = {
    "another lake": ("lake: ../data/lake", "lake: /srv/lake"),
    "another source": ("name: openai", "name: mine"),
    "another hour": ("0 2 * * *", "0 3 * * *"),
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder like the checkout that a worker starts flows in."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    return tmp_path


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_the_example_is_refused(text: str, *, checkout: Path) -> None:
    """However it is spelled; the line names what to set."""
    (checkout / "config/chatlake.yaml").write_text(text, newline="")

    with pytest.raises(
        ConfigurationError, match=r"config/chatlake\.yaml is the example"
    ) as refused:
        flow_settings(None)

    assert "CHATLAKE_CONFIG" in refused.value.hint
    assert "`config`" in refused.value.hint
    assert source_names(None) == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_example_with_one_value_changed_is_a_configuration(
    change: tuple[str, str], *, checkout: Path
) -> None:
    """A changed example counts as the user's own configuration."""
    (checkout / "config/chatlake.yaml").write_text(EXAMPLE.replace(*change))

    assert flow_settings(None).path == checkout / "config/chatlake.yaml"


def test_an_example_that_is_named_is_taken(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the parameter, by the environment; a file from `chatlake init` is the user's own."""
    example = checkout / "config/chatlake.yaml"
    example.write_text(EXAMPLE)

    assert flow_settings("config/chatlake.yaml").sources[0].name == "openai"
    monkeypatch.setenv("CHATLAKE_CONFIG", str(example))
    assert flow_settings(None).path == example
    monkeypatch.delenv("CHATLAKE_CONFIG")
    (checkout / "chatlake.yaml").write_text(template())
    assert flow_settings(None).path == checkout / "chatlake.yaml"


@pytest.mark.sample(1)
@pytest.mark.parametrize("script", ["backup.py", "maintain.py", "export_completions.py"])
def test_a_script_in_a_checkout_refuses_the_example(script: str, *, checkout: Path) -> None:
    """At once, with exit code 4 and one clear line, though a key is in the environment."""
    (checkout / "config/chatlake.yaml").write_text(EXAMPLE)
    (checkout / "ids.txt").write_text("chatcmpl-1\n")
    words = ["--ids-file", "ids.txt"] if script == "export_completions.py" else []

    code, out, err = finish(start(script, *words, home=checkout, OPENAI_API_KEY="sk-any"))

    assert (code, out) == (4, "")
    assert "Error: config/chatlake.yaml is the example" in err
    assert "Set CHATLAKE_CONFIG" in err
    assert "Starting Prefect" not in err
    assert not (checkout / "data").exists()
