"""What a lake needs from an object store beyond fsspec.

Two things: an object's version, with the store's time; and a write that happens only if the version
is the expected one (compare and swap). Commits and the lock rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from mmap import mmap
from typing import Any, ClassVar, Final, Literal, Protocol

PART_BYTES: Final = 8 << 20
LARGE_BYTES: Final = 2 * PART_BYTES
"""Larger objects are uploaded in parts of `PART_BYTES`."""

CONDITIONAL_S: Final = 30.0
"""The longest that a conditional write takes, including all tries. Together with the age of a lease
when it is confirmed, this is less than the lease's length. So no late write of a run arrives after
another may have taken over.
"""
ANSWER_S: Final = 60.0
"""The longest that any other request takes, of up to `PART_BYTES`, including all tries."""
LIST_S: Final = 600.0
"""The longest that a list takes, of any number of pages."""

NO_CONDITIONS: Final = (
    "{} does not support conditional writes: two runs at once could overwrite each other's commits"
)
CONDITIONS: Final = "Put the lake on a store with conditional writes (If-None-Match, If-Match)."

Buffer = bytes | mmap

Refusal = Literal["credentials", "bucket", "denied", "unreachable", "unsupported", "other"]
"""Why a store refused: missing or wrong credentials, no such bucket, missing permission, no
response, an operation that it does not have, or anything else.
"""


@dataclass(frozen=True, slots=True)
class Stat:
    """One version of an object: its size in bytes, when it was written, and the current time.

    Both times are by the store's clock, UTC.
    """

    version: str
    size: int
    modified_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of a list: its size in bytes, when it was written, by the store's clock."""

    key: str
    size: int
    modified_at: datetime


class ObjectStore(Protocol):
    """One cloud's objects.

    `key`: bucket and name, as in fsspec: `bucket/lake/lock.json`. Failures raise one of `errors`,
    or FileNotFoundError for an absent object. The cloud's own library retries temporary errors,
    within the limits above. `no_version`: a version that no object has. Each call of `filesystem`
    takes a `timeout` in seconds, as fsspec's own file systems do.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    credentials_hint: ClassVar[str]
    rights_hint: ClassVar[str]
    no_version: ClassVar[str]
    filesystem: Any

    def get(self, key: str) -> bytes:
        """Return an object, by one request. FileNotFoundError if it is absent."""
        ...

    def put(self, key: str, data: Buffer) -> None:
        """Write an object, new or in place of another; a large one in parts.

        It appears when the upload is complete. `data`: bytes, or from `LARGE_BYTES` on a mapped
        file.
        """
        ...

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write an object if its version is `version` (None: if it is absent).

        Returns the new version. If the version differs, nothing changes, and the result is None. If
        several write at the same instant, one succeeds.
        """
        ...

    def copy(self, key: str, new_key: str, size: int) -> None:
        """Write an object of this size under a second key, new or in place of another."""
        ...

    def stat(self, key: str) -> Stat | None:
        """Return the version of an object; None if it is absent."""
        ...

    def list(self, start: str) -> Iterable[ListedObject]:
        """Return every object whose key begins with `start`, `bucket/folder/`, in any order.

        An absent folder has no objects. FileNotFoundError only if the bucket is missing.
        """
        ...

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why the store refused."""
        ...


def upload_s(size: int) -> float:
    """Return the longest that the upload of an object of `size` bytes takes, in seconds."""
    return ANSWER_S * (1 + size // PART_BYTES)


def time_of(headers: Mapping[str, str]) -> datetime:
    """Return the time of a response by its header `Date`, UTC; this machine's if it has none."""
    given = {name.lower(): value for name, value in headers.items()}.get("date")
    if given is None:
        return datetime.now(UTC)
    return parsedate_to_datetime(given).astimezone(UTC)


def is_absence(error: Exception, store: type[ObjectStore]) -> bool:
    """Say whether only a file is absent, and not the whole bucket."""
    return isinstance(error, FileNotFoundError) and store.refusal(error) != "bucket"


def why_refused(error: Exception, store: type[ObjectStore]) -> Refusal:
    """Say why a store refused; a FileNotFoundError means a missing bucket here, not a file."""
    return "bucket" if isinstance(error, FileNotFoundError) else store.refusal(error)


def explain(error: Exception, store: type[ObjectStore], location: str) -> tuple[str, str | None]:
    """Return why a store failed for the lake at `location`, and a hint; None if none is known."""
    match why_refused(error, store):
        case "credentials":
            return f"no valid credentials ({_line(error)})", store.credentials_hint
        case "bucket":
            bucket = location.partition("://")[2].partition("/")[0]
            return f"there is no bucket {bucket}", (
                "Create the bucket, or correct `lake` in the configuration."
            )
        case "denied":
            return f"a permission is missing ({_line(error)})", store.rights_hint
        case "unreachable":
            return f"no connection ({_line(error)})", (
                "Check network, proxy, region and endpoint, then run again to continue."
            )
        case "unsupported":
            return f"the store cannot do this ({_line(error)})", CONDITIONS
    return _line(error), None


def _line(error: Exception) -> str:
    """Return the first line of an error's text, not too long; its kind if it has none."""
    first = next(iter(str(error).strip().splitlines()), "")
    if not first and isinstance(error, TimeoutError):
        return "no response in time"
    return first[:200] or type(error).__name__
