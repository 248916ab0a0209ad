r"""Reads a lock: the packages that pip installs with `--require-hashes`.

A lock may hold comments and entries of one form only:

    name[extra]==version ; marker \
        --hash=sha256:…

Anything else is refused: a URL, a repository, a folder, a range of versions, an option such as the
address of an index, a package without a hash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_ENTRY = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[(?P<extras>[\w., -]+)\])?==(?P<version>[\w.!+-]+)"
    r"(?: ; (?P<marker>[^\\#]+?))?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock: name, exact version, where it is installed, its files' hashes."""

    name: str
    """In its canonical form: lower case, with hyphens."""
    version: str
    marker: str
    """A marker such as `sys_platform == 'win32'`; empty if every machine installs the package."""
    extras: frozenset[str]
    """The optional parts that are installed with it."""
    hashes: frozenset[str]
    """`sha256:` and the digest in hexadecimal, one for each file that the index has."""

    @property
    def is_for_this_machine(self) -> bool:
        """Whether pip installs the package here."""
        return not self.marker or Marker(self.marker).evaluate()


def entries(path: Path) -> list[Locked]:
    """Return the packages of a lock in its order.

    A package comes twice where machines get different versions; their markers then tell which.
    Raises ValueError, with the entry, if an entry has another form or both would be installed here.
    """
    found: list[Locked] = []
    text = path.read_text(encoding="utf-8")
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\s*\\\n\s*", " ", kept).splitlines():
        if not line.strip():
            continue
        entry = _ENTRY.fullmatch(line.rstrip())
        if entry is None:
            raise ValueError(
                f"{path.name}: not a package with a version and hashes: {line[:200]!r}"
            )
        hashes = frozenset(re.findall(r"--hash=(\S+)", entry["hashes"]))
        name = canonicalize_name(entry["name"])
        extras = frozenset(re.findall(r"[\w.-]+", entry["extras"] or ""))
        found.append(Locked(name, entry["version"], entry["marker"] or "", extras, hashes))
    here = [each.name for each in found if each.is_for_this_machine]
    if twice := sorted({name for name in here if here.count(name) > 1}):
        raise ValueError(f"{path.name}: locked twice: {', '.join(twice)}")
    return found


def read_lock(path: Path) -> dict[str, Locked]:
    """Return the packages of a lock by name, for a lock that has one version of each.

    Raises ValueError as `entries` does.
    """
    found = entries(path)
    by_name = {each.name: each for each in found}
    if len(by_name) < len(found):
        raise ValueError(f"{path.name}: machines get different versions of a package")
    return by_name
