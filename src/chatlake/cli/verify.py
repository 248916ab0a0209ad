"""`chatlake verify`: reads the lake again and names every damaged file."""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import note, paint, printable, say, show_error, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work

if TYPE_CHECKING:
    from chatlake.config import Settings
    from chatlake.errors import ChatlakeError, LakeError
    from chatlake.verify.differences import Comparison
    from chatlake.verify.findings import VerifyReport

EXAMPLES = examples(
    "chatlake verify",
    "chatlake verify --subset $(date +%d)/31 --json",
    "chatlake verify --expect 9f86d081884c",
    "chatlake verify --against-api --sample 200",
)
_HINT = "Each finding says what to do. Nothing was changed."


def verify(
    config: ConfigOption = None,
    subset: Annotated[
        str | None,
        typer.Option(
            "--subset",
            metavar="K/N",
            help=(
                "Check only one Nth of the files, those checked longest ago. 1/30 to 30/30, one "
                "per night, cover all files."
            ),
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="FINGERPRINT",
            help="A fingerprint that a backup or `chatlake status` once printed: check that the "
            "lake still has that commit.",
        ),
    ] = None,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="With --against-api: only this source."),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="With --against-api: how many completions to fetch again."
        ),
    ] = 50,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="S", help="With --against-api: the seed of the sample; random if not given."
        ),
    ] = None,
    against_api: Annotated[
        bool,
        typer.Option(
            "--against-api",
            help="Also list the sources, and report what is missing, changed or extra in the "
            "lake. Needs their keys, and respects their pace.",
        ),
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check every file of the lake for damage.

    It checks size, SHA-256, rows, columns, keys, counts and images, derives each column again from
    the objects that the API sent, and follows the chain of commits. It contacts no source and needs
    no key. It changes only verified.json, which records what was checked when. Damage is reported
    to the targets of `notify`. Exit codes: 0 no damage, 7 damage (each file is named, with what to
    do), 1 this user may not read the whole lake. With --against-api also: 3 the source has what the
    lake lacks, 5 not authorised, 6 unreachable; 7 also if a completion that was fetched again
    differs.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.bytes_shown import bytes_shown  # noqa: PLC0415
    from chatlake.cli.verify_source import (  # noqa: PLC0415
        comparison_documents,
        error_of,
        show_comparisons,
    )
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.errors import ChatlakeError, LakeError, UsageError  # noqa: PLC0415
    from chatlake.lake.catalog.opening import CATALOG  # noqa: PLC0415
    from chatlake.verify.expectation import Expectation  # noqa: PLC0415
    from chatlake.verify.run import Subset, storage_of, verify_storage  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    if not against_api and (source or seed is not None):
        raise UsageError("--source and --seed need --against-api")
    part = None if subset is None else Subset.parse(subset)
    expectation = None if expect is None else Expectation.parse(expect)
    settings = load_settings(config)
    storage = storage_of(settings.lake_location, settings.access)
    with bytes_shown("reading manifests", "reading files", bar=sys.stderr.isatty()) as progress:
        report = verify_storage(storage, subset=part, expectation=expectation, progress=progress)
    # If the lake is damaged, the catalogue may be evidence; in a bucket, only a backup writes it.
    if report.is_sound and storage.local_path(CATALOG) is not None:
        with suppress(ChatlakeError):
            open_lake(settings)  # a lake that was moved works again after any command
    error: ChatlakeError | None = _error(report)
    comparisons: list[Comparison] = []
    if against_api:
        try:
            comparisons = _compare(settings, source or [], sample, seed)
        except LakeError:
            if error is None:
                raise
            report.notes.append("The lake is too damaged to be compared with its sources")
        error = error or error_of(comparisons)
    with after_the_work():
        if as_json:
            document = _document(report, error)
            if against_api:
                document["sources"] = comparison_documents(comparisons)
            write_json(document)
        else:
            _show(report)
            show_comparisons(comparisons)
    for line in report.notes:
        note(f"{paint('note:', 'dim', sys.stderr)} {printable(line)}")
    if error is not None:
        raise typer.Exit(_ended(settings, error))


def _ended(settings: Settings, error: ChatlakeError) -> int:
    """Say what was found, here and to the targets of `notify`; return the exit code."""
    from chatlake.bootstrap.notify import tell_failure  # noqa: PLC0415
    from chatlake.errors import LakeDamagedError  # noqa: PLC0415

    show_error(error.message, error.hint)
    if isinstance(error, LakeDamagedError):
        tell_failure(settings, error, command="verify")
    return error.exit_code


def _compare(
    settings: Settings, names: list[str], sample: int, seed: int | None
) -> list[Comparison]:
    from chatlake.bootstrap.comparison import compare_sources  # noqa: PLC0415
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.verify_source import source_shown  # noqa: PLC0415

    with source_shown(spinner=sys.stderr.isatty()) as progress:
        return compare_sources(
            settings,
            open_lake(settings),
            names=names,
            sample=sample,
            seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
            progress=progress,
        )


def _error(report: VerifyReport) -> LakeError | None:
    from chatlake.errors import LakeDamagedError, LakeForbiddenError  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    if report.is_sound:
        return None
    if not report.is_damaged:
        unread = count(len(report.findings), "file")
        return LakeForbiddenError(f"{report.location}: no permission to read {unread}")
    files = len({finding.path for finding in report.findings})
    problems = count(len(report.findings), "problem")
    message = f"{report.location} is damaged: {problems} in {count(files, 'file')}"
    return LakeDamagedError(message, hint=_HINT)


def _document(report: VerifyReport, error: ChatlakeError | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": _status(report),
        "lake": report.location,
        "files": report.files,
        "bytes": report.bytes,
        "rows": report.rows,
        "seconds": report.seconds,
        "subset": None if report.subset is None else str(report.subset),
        "listed_files": report.listed_files,
        "manifests": report.manifests,
        "commit": None if report.head is None else report.head.number,
        "fingerprint": None if report.head is None else report.head.fingerprint,
        "head_sha256": None if report.head is None else report.head.sha256,
        "expected": _expected(report),
        "findings": [
            {
                "path": finding.path,
                "kind": finding.kind,
                "problem": finding.problem,
                "remedy": finding.remedy,
            }
            for finding in report.findings
        ],
        "notes": report.notes,
    }
    if error is not None:
        document["error"] = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return document


def _expected(report: VerifyReport) -> dict[str, Any] | None:
    """Return which commit has the expected fingerprint; null if none has."""
    wanted = report.expectation
    if wanted is None:
        return None
    return {"fingerprint": wanted.fingerprint, "commit": wanted.commit}


def _status(report: VerifyReport) -> str:
    if report.is_sound:
        return "sound"
    return "damaged" if report.is_damaged else "unreadable"


def _show(report: VerifyReport) -> None:
    from chatlake.cli.words import duration, size  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    for finding in report.findings:
        say(f"{paint('✗', 'red')} {printable(finding.path)}: {printable(finding.problem)}")
        say(f"  {paint('→', 'dim')} {printable(finding.remedy)}")
    verdict = "no damage"
    if not report.is_sound:
        verdict = paint(count(len(report.findings), "problem"), "red")
    files = count(report.files, "file")
    if report.subset is not None:
        files = f"{report.files:,} of {count(report.listed_files, 'file')}"
    head = report.head
    at = "" if head is None else f"; commit {count(head.number)}, fingerprint {head.fingerprint}"
    say(f"{files}, {size(report.bytes)}: {verdict} ({duration(report.seconds)}){at}")
