"""The bill of materials says what the lock says: read here without the code that wrote it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from chatlake import __version__
from tests.docs.markdown import ROOT
from tests.stand_in import missing

LOCK = ROOT / "requirements-runtime.lock"

pytestmark = pytest.mark.slow


def written(path: Path) -> bytes:
    """Let the program write the SBOM to `path`, and return its bytes."""
    python = os.environ.get("CHATLAKE_SBOM_PYTHON", "")
    if not Path(python).is_file():
        missing("what writes the SBOM (supply/sbom.lock)")
    command = [python, "-m", "supply.sbom", "--lock", LOCK, "--output", path]
    command += ["--installed", sysconfig.get_path("purelib")]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the SBOM of this installation."""
    folder = tmp_path_factory.mktemp("sbom")
    first = written(folder / "first.json")
    assert written(folder / "second.json") == first, "the same lock gave other bytes"
    read: dict[str, Any] = json.loads(first)
    return read


def test_it_has_the_packages_of_the_lock(sbom: dict[str, Any]) -> None:
    """Each locked version is one component, by its package URL, and there is no other."""
    locked = re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    purls = [each["purl"] for each in sbom["components"]]
    assert len(purls) == len(set(purls)) > 100
    assert set(purls) == {f"pkg:pypi/{name}@{version}" for name, version in locked}
    assert sbom["metadata"]["component"]["purl"] == f"pkg:pypi/chatlake@{__version__}"


def test_it_has_the_hashes_of_the_lock(sbom: dict[str, Any]) -> None:
    """Each hash of the lock is there once for its package."""
    for block in re.split(r"^(?=\w)", LOCK.read_text(), flags=re.MULTILINE)[1:]:
        name, version = re.split(r"==|\s", re.sub(r"\[.*?\]", "", block))[:2]
        (component,) = (each for each in sbom["components"] if each["name"] == name)
        assert component["version"] == version
        assert sorted(each["content"] for each in component["hashes"]) == sorted(
            re.findall(r"sha256:(\w+)", block)
        )
        assert {each["alg"] for each in component["hashes"]} == {"SHA-256"}


def test_it_has_licences_of_all_that_is_installed(sbom: dict[str, Any]) -> None:
    """Only packages for other machines lack a licence."""
    lacking = [each for each in sbom["components"] if "licenses" not in each]
    assert all(
        [prop["name"] for prop in each["properties"]] == ["chatlake:marker"] for each in lacking
    )
    assert len(lacking) < 10


def test_chatlake_needs_all_of_it(sbom: dict[str, Any]) -> None:
    """From chatlake, the graph of what needs what leads to every package."""
    needs = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    waiting = [sbom["metadata"]["component"]["bom-ref"]]
    seen: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting += needs[name]
    assert {each["bom-ref"] for each in sbom["components"]} <= seen
    assert any(each.startswith("prefect==") for each in needs["chatlake==" + __version__])


def test_it_names_no_place_of_this_machine(sbom: dict[str, Any]) -> None:
    """No path and no index address stands in it."""
    text = json.dumps(sbom)
    assert str(ROOT) not in text
    assert re.findall(r"https?://[^\s\"]+", text.replace(sbom["$schema"], "")) == []
