"""The chain of commits: each manifest names the hash of the one before it.

Rewriting a commit and its own hash means rewriting every later one too, and then the lake ends with
another hash. So a hash that was noted elsewhere is found only in the lake that it came from,
however much has been added since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from chatlake.lake.manifests import FOLDER, Head, manifest_path
from chatlake.model.counts import count
from chatlake.verify.expectation import Expectation
from chatlake.verify.findings import Finding

RESTORE_PAST: Final = (
    "Compare the lake with a copy of it: its commits are not the ones that were once made here."
)


@dataclass(slots=True)
class Chain:
    """Checks the commits of a lake in order, and reports one that does not follow the one before.

    `head`: the newest commit. `expectation`: what to look for, and where it was found.
    """

    expectation: Expectation | None = None
    head: Head | None = None
    findings: list[Finding] = field(default_factory=list)
    _before: frozenset[str] = frozenset()
    _linked_from: int = 1

    def add(self, head: Head, previous: str, others: frozenset[str] = frozenset()) -> None:
        """Apply the next commit.

        `previous`: the hash that it has of the one before. `others`: other hashes by which the next
        commit may name this one: that of its checkpoint, which replaces a lost manifest.
        """
        if not previous:
            self._linked_from = head.number
        elif self._before and previous not in self._before:
            before = manifest_path(head.number - 1).removeprefix(f"{FOLDER}/")
            problem = f"follows a different {before} than the one here: one of them was altered"
            path = manifest_path(head.number)
            self.findings.append(Finding(path, problem, RESTORE_PAST, "rewritten"))
        self._before = frozenset((head.sha256, *others))
        self.head = head
        wanted = self.expectation
        if wanted is not None and head.sha256.startswith(wanted.fingerprint):
            self.expectation = Expectation(wanted.fingerprint, head.number, self._linked_from)

    def skip(self) -> None:
        """Skip a commit whose manifest cannot be read: that is a separate finding."""
        self._before = frozenset()

    def unmet(self) -> Iterator[Finding]:
        """Yield, after the last commit, that the expected fingerprint is not in the lake's past."""
        wanted = self.expectation
        if wanted is not None and wanted.commit is None:
            problem = (
                f"has no commit with the fingerprint {wanted.fingerprint}: "
                "this is another lake, or its past was rewritten"
            )
            yield Finding(FOLDER, problem, RESTORE_PAST, "rewritten")

    def notes(self) -> Iterator[str]:
        """Yield what is worth knowing about the past, in sentences."""
        wanted = self.expectation
        if self.head is None or wanted is None or wanted.commit is None:
            return
        since = self.head.number - wanted.commit
        told = f"The lake had the fingerprint {wanted.fingerprint} at commit {wanted.commit:,}"
        ago = count(since, "commit")
        yield f"{told}, {ago} ago" if since else f"{told}, its newest"
        if wanted.proved_from > 1:
            yield (
                f"The fingerprint does not cover the commits before {wanted.proved_from:,}: an "
                "older chatlake made them without links"
            )
