"""What the backup needs from outside: an API, a lake, and an observer that reports progress."""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from chatlake.model.manifest import LakeState, Manifest, PartFile, SourceRun
from chatlake.model.partitions import Partition

T = TypeVar("T")

Columns = dict[str, list[Any]]
"""One table's rows of one partition by columns: names and order as in `model.tables.COLUMNS`."""

MAX_BODY: Final = 512 << 20
"""Bytes of one response, and of all messages of one completion, unless configured otherwise."""

PAGE_REASKS_S: Final = (1.0, 2.0, 4.0)
"""Seconds to wait before each further request for a page that breaks the rules of paging."""

Room = Callable[[], Awaitable[None]]
"""Returns when there is room in memory for a large body."""

StoredMessage = tuple[str, str, str]
"""A stored message: its id, its direction and its exact text."""

Rows = Mapping[tuple[str, Partition], Columns]
"""Rows of many tables and partitions: (table, partition) -> columns."""


@dataclass(slots=True)
class RequestFigures:
    """Requests sent so far, those of them sent again, and the answers 429."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0

    def __add__(self, other: RequestFigures) -> RequestFigures:
        return RequestFigures(
            self.requests + other.requests,
            self.retries + other.retries,
            self.rate_limited + other.rate_limited,
        )

    def __sub__(self, other: RequestFigures) -> RequestFigures:
        return RequestFigures(
            self.requests - other.requests,
            self.retries - other.retries,
            self.rate_limited - other.rate_limited,
        )


class CompletionApi(Protocol):
    """A source of stored completions.

    Each call sends one GET (again where the retry policy says so) and returns what `read` makes of
    the body. `read` may raise InvalidResponseError; the request is then sent again, a few times.
    Since it may be called several times, it only decodes.

    `take` gets the page that `read` returned, after the retries have ended, and its result is
    returned. It may raise InvalidResponseError: the page breaks the rules of paging, and is asked
    for again after `PAGE_REASKS_S`. Such a request counts as a retry in `figures`, but not towards
    the attempts of the retry policy. Any other exception of `take` passes through.

    Raises AccountError, SourceUnreachableError or CompletionError (see chatlake.errors). `hasty`:
    the request is sent only once.
    """

    figures: RequestFigures

    async def list_completions(
        self,
        read: Callable[[bytes], T],
        *,
        after: str | None,
        limit: int,
        order: str = "asc",
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        take: Callable[[T], T] | None = None,
        hasty: bool = False,
    ) -> T:
        """GET /chat/completions."""
        ...

    async def get_completion(self, read: Callable[[bytes], T], completion_id: str) -> T:
        """GET /chat/completions/{id}. CompletionNotFoundError at once on a 404."""
        ...

    async def list_messages(
        self,
        read: Callable[[bytes], T],
        completion_id: str,
        *,
        after: str | None,
        limit: int,
        settle: bool,
        room: Room | None = None,
        take: Callable[[T], T] | None = None,
        hasty: bool = False,
    ) -> T:
        """GET /chat/completions/{id}/messages, ascending.

        `room` is awaited before a large body is read: images may be embedded in it.

        `settle`: the completion was just listed, so a 404 may be late visibility (1-6 s,
        api-behaviour): ask again over some seconds before CompletionNotFoundError.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class StoredVersion(msgspec.Struct, frozen=True, gc=False):
    """What the lake holds of a completion: digest of its canonical JSON, and when it was seen.

    `digest` is None if its messages are still missing. `observed_at`: when the last thing known
    of it was seen; with `deleted`, that it was gone. Times in microseconds since 1970. `inputs`,
    `images`: how many input messages and image parts are stored, None if that is unknown.
    """

    digest: bytes | None
    first_seen_at: int
    observed_at: int
    deleted: bool = False
    inputs: int | None = None
    images: int | None = None


class LakeStore(Protocol):
    """The lake as the backup sees it. The caller holds the lake's lock."""

    location: str

    @property
    def state(self) -> LakeState:
        """What the newest manifest lists (kept current by `commit`)."""
        ...

    def stored_versions(self, partition: Partition) -> dict[str, StoredVersion]:
        """Return completion id -> version for every completion of the partition."""
        ...

    def has_input_messages(self, source: str) -> bool:
        """Say whether the newest days of a source hold a message from `/messages`."""
        ...

    def stored_images(self, partition: Partition) -> set[str]:
        """Return the SHA-256 (hex) of every image of the partition."""
        ...

    def resume_points(self, source: str, *, before: int) -> Iterator[tuple[str, int]]:
        """Yield (completion id, created) of stored completions created before `before`.

        Newest first, at most one for each second; lazily, partition by partition.
        """
        ...

    def write_parts(self, rows: Rows) -> list[PartFile]:
        """Write one durable Parquet file for each table and partition; nothing lists them yet.

        LakeUnwritableError when the disk is full, read-only, or a permission is missing.
        """
        ...

    def superseded(self, partition: Partition, completion_ids: Container[str]) -> Columns | None:
        """Return the present versions of these completions as rows of the table `history`.

        A version that was found gone at the source gives a second row. Versions without a digest
        (messages never fetched) do not count. None if there are no rows.
        """
        ...

    def stored_messages(
        self, partition: Partition, completion_ids: Collection[str]
    ) -> dict[str, list[StoredMessage]]:
        """Return the stored messages of these completions, in the order of the conversation."""
        ...

    def lost_messages(
        self, partition: Partition, message_ids: Mapping[str, Collection[str]]
    ) -> Columns | None:
        """Return messages (completion id -> ids) as rows of `message_history`; None without any."""
        ...

    def without_completions(
        self, partition: Partition, completion_ids: Container[str], tables: Sequence[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's files that hold rows of these completions, without them.

        Returns the files written and the paths to remove; nothing lists them yet.
        """
        ...

    def missing_files(self) -> list[PartFile]:
        """Return the listed files that do not exist or have another size than listed."""
        ...

    def forget_digests(
        self, partition: Partition, *, without: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions without digest, so that they are fetched again.

        `without`: paths not to be read. Returns the files written and the paths they replace.
        """
        ...

    def rows_without_completion(
        self, partition: Partition, *, without: Container[str]
    ) -> dict[str, int | None]:
        """Return completion id -> created_at (microseconds) of rows without a completion.

        Rows of messages, content parts or earlier versions whose completion is not stored.

        `without`: paths not to be read.
        """
        ...

    def missed(self, partition: Partition) -> set[str]:
        """Return the completions that the last full sweep missed, for the first time."""
        ...

    def mark_deleted(
        self, partition: Partition, completion_ids: Container[str], deleted_at: int
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions with `deleted_at` (microseconds) for these.

        Returns the files written and the paths that they replace; nothing lists them yet.
        """
        ...

    def without_images(
        self, files: Iterable[PartFile], known: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite those of `files` (table images) that hold an image of `known`, without it.

        Returns the files written and the paths that they replace.
        """
        ...

    def commit(self, manifest: Manifest) -> None:
        """Make `manifest` the newest: fills in its number, then refreshes the catalogue.

        CommitConflictError when another run committed first.
        """
        ...


class Observer(Protocol):
    """Is told how a backup goes; must not raise."""

    def source_started(self, source: str, mode: str) -> None:
        """A source's turn has come."""
        ...

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Figures have changed; called often, must be cheap.

        `fraction`: how much of the source is done, 0 to 1, where that can be told.
        """
        ...

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Requests pause for `seconds`, because of `why`."""
        ...

    def committed(self, manifest: Manifest) -> None:
        """A commit is in the lake."""
        ...
