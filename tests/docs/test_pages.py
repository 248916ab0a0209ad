"""The pages as a whole: links, the layers, the changelog, nothing of the author's machine."""

from __future__ import annotations

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from chatlake import __version__
from chatlake.model.manifest import FORMAT
from tests.docs.markdown import ROOT, anchors, links, pages

# Written so that this file does not hold what it looks for.
_FOREIGN = re.compile(
    "|".join(
        (
            r"(?:^|[\s\"'`(=:])/(?:work|root|Users|opt|mnt)/\w",
            r"/tmp/[\w-]+/",
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            r"--(?:extra-)?index-url[ =]\S",
            r"https?://[^\s/]*(?:pypi|artifactory|nexus)[^\s/]*/",
        )
    ),
    re.MULTILINE,
)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and to a heading of it where it names one."""
    broken = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert broken == []


def test_tests_that_hold_a_promise_exist() -> None:
    """Every test that the guarantees name is there, under that name."""
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    gone = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file()
        or not re.search(rf"def {test}\b", (ROOT / file).read_text(encoding="utf-8"))
    ]

    assert named
    assert gone == []


def test_layers_in_the_design_are_those_that_are_enforced() -> None:
    """The picture of the layers is the contract of the import linter."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    enforced = contract["importlinter:contract:layers"]["layers"].split("\n")
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    picture = text.partition("## Layers")[2].partition("```\n")[2].partition("```")[0]
    drawn = [re.split(r"\s{2,}", line)[0] for line in picture.splitlines()]

    assert drawn == [layer for layer in enforced if layer]


def test_changelog_tells_of_this_version_and_its_format() -> None:
    """The version that is built has an entry, which names the format of the lake."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entry = text.partition(f"\n## [{project['version']}]")[2].partition("\n## ")[0]

    assert project["version"] == __version__
    assert text.partition("\n## [")[2].partition("]")[0] == __version__
    assert f"Lake format: {FORMAT}." in entry


def test_no_file_tells_of_the_authors_machine() -> None:
    """No file of the repository holds a package index or an absolute path of some machine."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git working tree")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        found += [f"{name}: {match[0].strip()}" for match in _FOREIGN.finditer(text)]

    assert found == []
