"""`chatlake verify`: reads the lake again and names every damaged file."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.output import note, paint, printable, say, show_error, write_json
from chatlake.cli.streams import after_the_work

if TYPE_CHECKING:
    from chatlake.errors import LakeError
    from chatlake.verify.run import VerifyReport

EXAMPLES = examples("chatlake verify", "chatlake verify --subset $(date +%d)/31 --json")
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
    *,
    as_json: JsonOption = False,
) -> None:
    """Check every file of the lake for damage.

    Re-reads every file, and checks size, SHA-256, rows, columns, keys, counts and images. It
    contacts no source and needs no key. It changes only verified.json, which records what was
    checked when. Exit codes: 0 no damage, 7 damage (each file is named, with what to do), 1 this
    user may not read the whole lake.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.bytes_shown import bytes_shown  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.errors import ChatlakeError  # noqa: PLC0415
    from chatlake.verify.run import Subset, storage_of, verify_storage  # noqa: PLC0415

    part = None if subset is None else Subset.parse(subset)
    settings = load_settings(config)
    storage = storage_of(settings.lake_location, settings.access)
    with bytes_shown("reading manifests", "reading files", bar=sys.stderr.isatty()) as progress:
        report = verify_storage(storage, subset=part, progress=progress)
    if report.is_sound:  # otherwise the catalogue may be evidence
        with suppress(ChatlakeError):
            open_lake(settings)  # a lake that was moved works again after any command
    error = _error(report)
    with after_the_work():
        if as_json:
            write_json(_document(report, error))
        else:
            _show(report)
    for line in report.notes:
        note(f"{paint('note:', 'dim', sys.stderr)} {printable(line)}")
    if error is not None:
        show_error(error.message, error.hint)
        raise typer.Exit(error.exit_code)


def _error(report: VerifyReport) -> LakeError | None:
    from chatlake.cli.words import count  # noqa: PLC0415
    from chatlake.errors import LakeDamagedError, LakeForbiddenError  # noqa: PLC0415

    if report.is_sound:
        return None
    if not report.is_damaged:
        unread = count(len(report.findings), "file")
        return LakeForbiddenError(f"{report.location}: no permission to read {unread}")
    files = len({finding.path for finding in report.findings})
    problems = count(len(report.findings), "problem")
    message = f"{report.location} is damaged: {problems} in {count(files, 'file')}"
    return LakeDamagedError(message, hint=_HINT)


def _document(report: VerifyReport, error: LakeError | None) -> dict[str, Any]:
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


def _status(report: VerifyReport) -> str:
    if report.is_sound:
        return "sound"
    return "damaged" if report.is_damaged else "unreadable"


def _show(report: VerifyReport) -> None:
    from chatlake.cli.words import count, duration, size  # noqa: PLC0415

    for finding in report.findings:
        say(f"{paint('✗', 'red')} {printable(finding.path)}: {printable(finding.problem)}")
        say(f"  {paint('→', 'dim')} {printable(finding.remedy)}")
    verdict = "no damage"
    if not report.is_sound:
        verdict = paint(count(len(report.findings), "problem"), "red")
    files = count(report.files, "file")
    if report.subset is not None:
        files = f"{report.files:,} of {count(report.listed_files, 'file')}"
    say(f"{files}, {size(report.bytes)}: {verdict} ({duration(report.seconds)})")
