"""What chatlake installs, checked without an advisory service: sources, hashes, licences."""

from __future__ import annotations

import json
import re
import subprocess
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

from supply.licences import ALLOWED, READ_BY_HAND, licence_of, not_allowed
from supply.lock import entries, read_lock
from tests.docs.markdown import ROOT

HASH = "sha256:" + "0" * 64
LOCKS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.lock", "bench/*.lock", "tests/**/*.lock", "supply/*.lock")
    for path in ROOT.glob(pattern)
)
RUNTIME = "requirements-runtime.lock"


def test_every_lock_is_checked() -> None:
    """The list of locks has every one that git knows."""
    known = subprocess.run(
        ["git", "ls-files", "*.lock"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if known.returncode != 0:
        pytest.skip("not a clone: git does not list the files")
    assert set(known.stdout.split()) <= set(LOCKS)
    assert RUNTIME in LOCKS


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_exact_versions_and_hashes_only(lock: str) -> None:
    """Each package has one version and a hash; none comes from a URL, a repository or a folder."""
    packages = entries(ROOT / lock)
    assert packages
    assert all(package.hashes for package in packages)


@pytest.mark.parametrize(
    "line",
    [
        "httpx>=0.28",
        "httpx==0.28.1",
        "httpx @ https://files.example/httpx.whl --hash=" + HASH,
        "git+https://example.com/httpx.git@v1",
        "-e .",
        "./vendored",
        "--extra-" + "index-url=https://example.com/simple",
        "httpx==0.28.1 --hash=md5:" + "0" * 32,
        "httpx==0.28.* --hash=" + HASH,
        f"httpx==0.28.1 --hash={HASH}\nHTTPX==0.28.2 --hash={HASH}",
    ],
)
def test_anything_else_in_a_lock_is_refused(tmp_path: Path, line: str) -> None:
    """A line of another form ends the reading with the line or the package in the message."""
    path = tmp_path / "requirements.lock"
    path.write_text(f"# a comment\nanyio==4.1 \\\n    --hash={HASH}\n{line}\n")
    with pytest.raises(ValueError, match=r"requirements\.lock: "):
        read_lock(path)


def test_a_lock_of_npm_has_hashes_and_no_address() -> None:
    """Each package has an integrity hash, and none says where it was fetched from."""
    lock = json.loads((ROOT / "tests/azurite/package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert [name for name, each in packages.items() if "resolved" in each] == []
    weak = [
        name
        for name, each in packages.items()
        if not re.match(r"sha(256|384|512)-", each["integrity"])
    ]
    assert weak == []


def test_ranges_name_packages_and_nothing_else() -> None:
    """No dependency in pyproject.toml or an input of a lock is a URL, a repository or a folder."""
    inputs = [ROOT / "pyproject.toml", *ROOT.glob("*/*.in"), *ROOT.glob("tests/*/*.in")]
    foreign = re.compile(r"@ ?(?:git|https?|file)|git\+|^\s*-[er]\b|--index", re.MULTILINE)
    assert len(inputs) >= 3
    assert [path.name for path in inputs if foreign.search(path.read_text())] == []


def test_every_installed_package_has_an_allowed_licence() -> None:
    """Each package of the runtime lock names a licence that an Apache-2.0 program may build on."""
    refused = {}
    seen = 0
    for name, package in read_lock(ROOT / RUNTIME).items():
        try:
            described = metadata(name)
        except PackageNotFoundError:
            assert not package.is_for_this_machine, f"{name} is locked and not installed"
            continue
        seen += 1
        assert isinstance(described, Message)
        if wrong := not_allowed(licence_of(name, described)):
            refused[name] = wrong
    assert refused == {}
    assert seen > 100


def test_what_was_read_by_hand_is_still_needed() -> None:
    """A package that left the lock leaves the exceptions too."""
    assert set(READ_BY_HAND) <= set(read_lock(ROOT / RUNTIME))
    assert set(READ_BY_HAND.values()) <= ALLOWED


@pytest.mark.parametrize(
    ("fields", "expected", "refused"),
    [
        ({"License-Expression": "mit or apache-2.0"}, "MIT OR Apache-2.0", []),
        ({"License-Expression": "GPL-3.0-or-later"}, "GPL-3.0-or-later", ["GPL-3.0-or-later"]),
        ({"License": "AGPL-3.0-only AND MIT"}, "AGPL-3.0-only AND MIT", ["AGPL-3.0-only"]),
        ({"License": "MIT Licence"}, "MIT", []),
        (
            {"License": "Do as you like", "Classifier": "License :: OSI Approved :: MIT License"},
            "MIT",
            [],
        ),
        ({"Classifier": "License :: Other/Proprietary License"}, "", ["unknown"]),
        ({"License": "see the file"}, "", ["unknown"]),
        ({}, "", ["unknown"]),
    ],
)
def test_licences_are_told_apart(fields: dict[str, str], expected: str, refused: list[str]) -> None:
    """An expression, a free text or a classifier gives the licence; nothing known is refused."""
    described = Message()
    for name, text in fields.items():
        described[name] = text
    found = licence_of("some-package", described)
    assert found == expected
    assert not_allowed(found) == refused
