"""Verification: reads every file of a lake again and names what has changed since it was written.

Nothing is changed but `verified.json`, which remembers what was checked when. Memory is bounded:
files are hashed in chunks, rows are compared some partitions at a time by their keys, images are
read row group by row group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from chatlake.errors import (
    LakeDamagedError,
    LakeError,
    LakeForbiddenError,
    LakeFormatError,
    LakeNotFoundError,
    LakeUnwritableError,
)
from chatlake.lake import manifests
from chatlake.lake.files.replaced import FOLDER as REPLACED
from chatlake.lake.files.replaced import listed_path
from chatlake.lake.lake import Lake
from chatlake.model.manifest import LakeState, PartFile
from chatlake.storage.folder import Access
from chatlake.storage.interface import Storage
from chatlake.storage.opening import storage_at
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.catalog import read_catalog
from chatlake.verify.data_files import DataCheck, Progress
from chatlake.verify.evidence import check_past
from chatlake.verify.expectation import Expectation
from chatlake.verify.findings import Finding, VerifyReport
from chatlake.verify.history import History, readable_files
from chatlake.verify.record import Record, Subset, choose

__all__ = ["Finding", "Subset", "VerifyReport", "storage_of", "verify", "verify_storage"]


def storage_of(location: str, access: Access = "private") -> Storage:
    """Return the storage of a lake that may be too damaged to be opened.

    LakeForbiddenError, LakeNotFoundError, LakeFormatError; LakeError for a place where no lake can
    be.
    """
    try:
        return Lake.open(location, access=access).storage
    except (LakeForbiddenError, LakeNotFoundError, LakeFormatError):
        raise
    except LakeError as error:
        storage = storage_at(location, access)
        folder = storage.local_path(manifests.FOLDER)
        if isinstance(error, LakeDamagedError) or (folder is not None and Path(folder).is_dir()):
            return storage
        raise


def verify(
    lake: Lake, *, subset: Subset | None = None, progress: Progress | None = None
) -> VerifyReport:
    """Check what the lake lists, or a subset of it (`record.choose`)."""
    return verify_storage(lake.storage, subset=subset, progress=progress)


def verify_storage(
    storage: Storage,
    *,
    subset: Subset | None = None,
    expectation: Expectation | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> VerifyReport:
    """Check a lake, which may be too damaged to be opened; `pause` sleeps between two attempts.

    `expectation`: a fingerprint that must be one of the lake's commits.
    """
    report = VerifyReport(storage.location, subset, expectation=expectation)
    return _Verification(RereadingStorage(storage, pause), report, progress).run()


class _Verification:
    def __init__(
        self, storage: RereadingStorage, report: VerifyReport, progress: Progress | None
    ) -> None:
        self._storage = storage
        self._report = report
        self._data = DataCheck(storage, report.notes, progress)

    def run(self) -> VerifyReport:
        begun_at = time.monotonic()
        report = self._report
        record = Record.load(self._storage)
        # The catalogue first: it is never newer than the newest manifest, whatever is committed
        # in the meantime.
        shown = read_catalog(self._storage)
        history = check_past(self._storage, report, shown, record)
        if history.state is None:
            self._check_what_is_there(history)
        else:
            self._check_state(history.state, record)
        report.seconds = round(time.monotonic() - begun_at, 3)
        return report

    def _check_what_is_there(self, history: History) -> None:
        """Check the bytes of every data file that some readable manifest lists.

        While a manifest is damaged, the lake's content cannot be known: a missing file may have
        been removed.
        """
        listed = readable_files(self._storage, history.newest).values()
        sizes = self._storage.sizes([file.path for file in listed])
        there = [file for file in listed if file.path in sizes]
        self._begin(there, len(there))
        self._report.findings += self._data.damaged_bytes(there)
        self._report.notes.append(
            "Data files were only checked one by one: while a manifest is damaged, it is unknown "
            "which files belong to the lake"
        )

    def _check_state(self, state: LakeState, record: Record | None) -> None:
        files = list(state.files.values())
        chosen = choose(files, self._report.subset, record)
        self._begin(chosen, len(files))
        checked: set[str] = set()
        findings: list[Finding] = []
        try:
            findings += self._data.findings(state, chosen, checked)
        finally:
            # An interrupted verification also records how far it got.
            findings = [*self._still_listed(findings), *self._moved_away(state)]
            checked -= {finding.path for finding in findings if finding.kind == "forbidden"}
            self._remember(state, record, checked, findings)
        self._report.findings += findings

    def _begin(self, chosen: Sequence[PartFile], listed: int) -> None:
        report = self._report
        report.listed_files = listed
        report.files = len(chosen)
        report.bytes = sum(file.bytes for file in chosen)
        report.rows = sum(file.rows for file in chosen)
        self._data.begin(report.bytes)

    def _still_listed(self, findings: Iterable[Finding]) -> list[Finding]:
        """Drop findings of files that are missing because another process has merged them."""
        findings = list(findings)
        if any(finding.kind == "missing" for finding in findings):
            try:
                listed = manifests.load_state(self._storage).files
            except LakeError:
                return findings
            findings = [f for f in findings if f.kind != "missing" or f.path in listed]
        return findings

    def _moved_away(self, state: LakeState) -> Iterator[Finding]:
        """Report listed files that are only in `replaced/`, where the views do not see them."""
        away = {listed_path(file.path) for file in self._storage.list(REPLACED)}
        if away.isdisjoint(state.files):
            return
        try:
            listed = manifests.load_state(self._storage).files
        except LakeError:
            return
        for path in sorted(away & listed.keys()):
            if self._storage.size(path) is None:
                problem = f"is listed, but is in {REPLACED}/"
                yield Finding(path, problem, "Run `chatlake compact` to put it back.", "misplaced")

    def _remember(
        self, state: LakeState, record: Record | None, checked: set[str], findings: list[Finding]
    ) -> None:
        damaged = {finding.path for finding in findings}
        after = (record or Record()).updated(state.number, state.files, checked, damaged)
        try:
            after.save(self._storage)
        except LakeUnwritableError as error:
            self._report.notes.append(
                f"{error.message}: cannot record for --subset what was checked today"
            )
