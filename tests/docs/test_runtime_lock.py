"""`requirements-runtime.lock`: all that an installation needs, and nothing of development."""

from __future__ import annotations

import tomllib
from importlib.metadata import requires
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.lock import Locked, read_lock
from tests.docs.markdown import ROOT

EXTRAS = ("s3", "dask", "redact")
"""Those of the image: lakes in a bucket of S3, and workers on other machines."""


def locked(file: str) -> dict[str, Locked]:
    """Read a lock at the root; keys are names in their canonical form."""
    return read_lock(ROOT / file)


def project() -> dict[str, Any]:
    """Return the project's table of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def closure() -> set[str]:
    """Return what the runtime dependencies need on this machine, by what is installed here."""
    optional = project()["optional-dependencies"]
    asked = [*project()["dependencies"], *(each for name in EXTRAS for each in optional[name])]
    waiting = [(Requirement(each), "") for each in asked]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(each), wanted) for each in requires(name) or ()]
    return {name for name, _ in seen}


def test_it_is_what_the_runtime_dependencies_need() -> None:
    """Not one package more, and not one less."""
    here = {
        name
        for name, package in locked("requirements-runtime.lock").items()
        if package.is_for_this_machine
    }

    assert here == closure()


def test_it_has_the_versions_that_are_tested() -> None:
    """Versions and hashes are those of the development lock.

    A marker may differ: development may need the package where an installation does not.
    """
    runtime, development = locked("requirements-runtime.lock"), locked("requirements.lock")

    assert {name: (package.version, package.hashes) for name, package in runtime.items()} == {
        name: (development[name].version, development[name].hashes)
        for name in runtime
        if name in development
    }
    assert all(package.hashes for package in runtime.values())


def test_it_has_nothing_of_development() -> None:
    """It has neither a package of the group `dev` nor one that only they need."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = {
        canonicalize_name(Requirement(each).name) for each in groups["dependency-groups"]["dev"]
    }
    runtime = set(locked("requirements-runtime.lock"))

    assert not (runtime & named) - closure()
    assert not runtime & {"pytest", "moto", "mypy", "ruff", "hypothesis", "flask", "openai"}
    assert len(set(locked("requirements.lock")) - runtime) > 30


def test_the_image_installs_it() -> None:
    """The Dockerfile installs from it, and only what builds the wheel from the other lock."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert "--no-deps --require-hashes -r requirements-runtime.lock" in dockerfile
    assert "-r requirements.lock" not in dockerfile
    assert "!requirements-runtime.lock" in (ROOT / ".dockerignore").read_text(encoding="utf-8")
