"""Every data file of a lake read again: its bytes, its keys, and what follows from its rows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa

from chatlake.model.counts import count
from chatlake.model.manifest import LakeState, PartFile
from chatlake.model.partitions import Partition
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.derivation import check_derived
from chatlake.verify.file import KEY_COLUMNS, check_bytes, read_keys
from chatlake.verify.findings import Finding
from chatlake.verify.tables import TableChecker

Progress = Callable[[int, int], None]
"""Called with the bytes of data files that were read, and the bytes to read in total."""

_THREADS: Final = min(4, os.cpu_count() or 1)
_ROWS_AT_ONCE: Final = 500_000


class DataCheck:
    """Checks data files, with several threads.

    `notes` receives, in sentences, what is worth knowing about the data but is not damage.
    """

    def __init__(
        self, storage: RereadingStorage, notes: list[str], progress: Progress | None
    ) -> None:
        self._notes = notes
        self._storage = storage
        self._progress = progress
        self._mutex = threading.Lock()
        self._read = 0
        self._to_read = 0

    def begin(self, total: int) -> None:
        """Announce how many bytes there are to read."""
        self._to_read = total
        self._on_bytes(0)

    def findings(
        self, state: LakeState, chosen: Sequence[PartFile], checked: set[str]
    ) -> Iterator[Finding]:
        """Check the chosen files of a state, one batch of partitions after the other.

        Each path is added to `checked` when its file and what depends on it are done.
        """
        checker = TableChecker()
        wanted = {file.path for file in chosen}
        partitions = sorted({file.partition for file in chosen})
        for batch in _batches(state, partitions):
            files = [file for partition in batch for file in partition]
            damaged = set()
            for finding in self.damaged_bytes([f for f in files if f.path in wanted]):
                damaged.add(finding.path)
                yield finding
            whole = [f for f in files if f.path not in damaged and f.table in KEY_COLUMNS]
            keys: dict[str, pa.Table] = {}
            with ThreadPoolExecutor(_THREADS) as pool:
                found = pool.map(lambda f: self._keys(f, check_images=f.path in wanted), whole)
                for file, rows in zip(whole, found, strict=True):
                    if isinstance(rows, Finding):
                        damaged.add(file.path)
                        yield rows
                    else:
                        keys[file.path] = rows
            # If a file is damaged, rows are missing elsewhere too, which is already reported.
            contradictions = checker.check(
                [(f, keys[f.path]) for f in partition if f.path in keys]
                for partition in batch
                if damaged.isdisjoint(f.path for f in partition)
            )
            for finding in contradictions:
                damaged.add(finding.path)
                yield finding
            for partition in batch:
                if damaged.isdisjoint(f.path for f in partition):
                    yield from check_derived(self._storage, partition, keys, wanted)
            checked.update(file.path for file in files if file.path in wanted)
        yield from checker.missing_images()
        if checker.incomplete:
            self._notes.append(
                f"{count(checker.incomplete, 'completion')} "
                f"{'lacks its' if checker.incomplete == 1 else 'lack their'} messages, which could "
                "not be fetched or were lost with a file; the next backup retries those in "
                "`failures`"
            )
        for source, parts in sorted(checker.kept_as_references().items()):
            self._notes.append(
                f"{source}: {count(parts, 'image part')} {'has' if parts == 1 else 'have'} "
                "no stored image: their runs kept references only (images: reference)"
            )

    def _keys(self, file: PartFile, *, check_images: bool) -> pa.Table | Finding:
        return read_keys(self._storage, file, check_images=check_images)

    def damaged_bytes(self, files: Sequence[PartFile]) -> Iterator[Finding]:
        """Read every byte of these files; yield a finding for each that was altered."""
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda file: check_bytes(self._storage, file, self._on_bytes), files)
            yield from (finding for finding in found if finding is not None)

    def _on_bytes(self, number: int) -> None:
        if self._progress is not None:
            with self._mutex:
                self._read += number
                self._progress(self._read, self._to_read)


def _batches(state: LakeState, partitions: Iterable[Partition]) -> Iterator[list[list[PartFile]]]:
    """Yield some partitions at a time, each as its files: small ones together, for speed."""
    batch: list[list[PartFile]] = []
    rows = 0
    for partition in partitions:
        files = state.partition_files(partition)
        batch.append(files)
        rows += sum(file.rows for file in files)
        if rows >= _ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
