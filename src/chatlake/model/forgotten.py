"""What was forgotten on demand: receipts without content, by which it is not fetched again.

A receipt is part of a commit. It names no completion. For each one it has a keyed hash, from which
the id cannot be derived. With it the next backup recognises the completion if the source still
lists it. The key is the lake's own; without the lake the hashes are meaningless.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

import msgspec

RECEIPTS = "receipts"
"""The folder of a lake that holds its receipts, for people; the manifests hold them too."""
_HASH_BYTES = 16


class Forgetting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The receipt of one erasure.

    `at`: when, RFC 3339. `reason`: as the user gave it. `completions` and the other numbers: rows
    erased, by table; `versions`: of older versions of completions and messages. `hashes`: a keyed
    hash for each completion; empty if only age decided. `erased`: the files that had the rows, by
    the path that they had while they were listed; they are removed for good. `unreadable`: how many
    of them could not be read, all of them unlisted; they may have held other rows, too.
    """

    at: str
    run_id: str
    reason: str = ""
    completions: int = 0
    messages: int = 0
    content_parts: int = 0
    images: int = 0
    versions: int = 0
    key: str = ""
    hashes: list[str] = []
    erased: list[str] = []
    unreadable: int = 0


class Forgotten:
    """All receipts of a lake, in order, and what they say about a completion or a file."""

    def __init__(self, receipts: Iterable[Forgetting] = ()) -> None:
        self.receipts: list[Forgetting] = []
        self.erased: set[str] = set()
        self._hashes: dict[str, set[str]] = {}
        for receipt in receipts:
            self.add(receipt)

    def add(self, receipt: Forgetting) -> None:
        """Add the receipt of another commit."""
        self.receipts.append(receipt)
        self.erased.update(receipt.erased)
        if receipt.hashes:
            self._hashes.setdefault(receipt.key, set()).update(receipt.hashes)

    def has(self, source: str, completion_id: str) -> bool:
        """Say whether a completion was forgotten, so that it must not be stored again."""
        return any(
            keyed_hash(key, source, completion_id) in hashes for key, hashes in self._hashes.items()
        )

    @property
    def erased_count(self) -> int:
        """How many completions were erased, in all."""
        return sum(receipt.completions for receipt in self.receipts)

    def key(self) -> str:
        """Return the key (hex) of this lake's hashes; a new one for the first receipt."""
        return next(iter(self._hashes), None) or secrets.token_hex(32)

    def __bool__(self) -> bool:
        """Whether any completion was forgotten by its id."""
        return bool(self._hashes)


def keyed_hash(key: str, source: str, completion_id: str) -> str:
    """Return the hash (hex) of a completion in a receipt."""
    text = f"{source}\0{completion_id}".encode()
    hashed = hashlib.blake2b(text, key=bytes.fromhex(key), digest_size=_HASH_BYTES)
    return hashed.hexdigest()
