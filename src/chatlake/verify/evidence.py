"""The manifests compared with other evidence: the catalogue and the last verification.

Missing manifests at the end leave no hole in the numbers. So every commit that the catalogue shows,
or that an earlier verification saw, must exist.
"""

from __future__ import annotations

from chatlake.lake.catalog.opening import CATALOG
from chatlake.model.manifest import LakeState
from chatlake.storage.interface import Storage
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.catalog import (
    ShownCatalog,
    check_catalog,
    check_empty_files,
    expected_paths,
    is_of_this_lake,
)
from chatlake.verify.findings import WRITTEN_ANEW, Finding, VerifyReport
from chatlake.verify.history import History, check_history, missing_manifest
from chatlake.verify.record import RECORD, Record


def check_past(
    storage: RereadingStorage,
    report: VerifyReport,
    shown: ShownCatalog | Finding | None,
    record: Record | None,
) -> History:
    """Read every manifest, and report what is wrong with them or with the catalogue.

    `shown`: what the catalogue shows, read before; `record`: what earlier verifications saw.
    """
    catalog = shown if isinstance(shown, ShownCatalog) else None
    expected: dict[int, frozenset[str]] = {}

    def on_state(state: LakeState) -> None:
        if catalog is not None and state.number == catalog.stamp.number:
            expected[state.number] = expected_paths(catalog, state)

    on_state(LakeState())
    history = check_history(storage, on_state, report.expectation)
    report.manifests = history.documents
    report.head, report.expectation = history.chain.head, history.chain.expectation
    report.findings += history.findings
    report.notes += history.chain.notes()
    if isinstance(shown, Finding):
        report.findings.append(shown)
    elif shown is None:
        if history.newest and storage.url(CATALOG) is not None:
            report.notes.append(f"{CATALOG} is missing; {_next(storage)} writes it again")
    elif is_of_this_lake(shown, storage):
        number = shown.stamp.number
        report.findings += check_catalog(shown, storage, expected.get(number))
        _find_gone(report, history, number, f"the catalogue shows commit {number}")
        if number < history.newest or shown.stamp.location != storage.location:
            report.notes.append(
                f"{CATALOG} shows commit {number} of {shown.stamp.location}, "
                f"the newest is {history.newest}; {_next(storage)} writes it again"
            )
    else:
        problem = f"belongs to another lake, which was at {shown.stamp.location}"
        report.findings.append(Finding(CATALOG, problem, WRITTEN_ANEW, "contradiction"))
    if record is not None:
        seen = f"an earlier verification saw commit {record.number} ({RECORD})"
        _find_gone(report, history, record.number, seen)
    report.findings += check_empty_files(storage, catalog)
    return history


def _find_gone(report: VerifyReport, history: History, seen: int, evidence: str) -> None:
    known = {finding.path for finding in report.findings}
    for number in range(history.newest + 1, seen + 1):
        finding = missing_manifest(number, evidence)
        if finding.path not in known:
            report.findings.append(finding)


def _next(storage: Storage) -> str:
    """Return what rewrites the catalogue: commands that only read write nothing to a bucket."""
    return "the next backup" if storage.local_path(CATALOG) is None else "the next command"
