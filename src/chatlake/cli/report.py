"""`chatlake report`: one page about what is in the lake and what is missing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.cli.status_facts import SourceFacts
    from chatlake.model.manifest import SourceRun
    from chatlake.web.report.facts import Standing

DEFAULT_OUTPUT = "chatlake-report.html"
EXAMPLES = examples(
    "chatlake report",
    "chatlake report --month 2026-01 --output january.html",
    "chatlake report --json",
)


def report(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The file to write, replaced if it exists; - for standard output.",
        ),
    ] = DEFAULT_OUTPUT,
    month: Annotated[
        str | None,
        typer.Option(
            "--month",
            metavar="YYYY-MM",
            help="Limit the calendar, usage and replies to this month (UTC).",
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a report on the lake as one HTML file.

    The file needs no network and no other file. It says whether the backup is complete, which days
    had no backup, what is missing and why, what was verified, deleted and changed, and how many
    tokens were used. With --json it writes the same facts and no file. The exit code is 0 even if
    the lake has gaps.
    """
    from datetime import UTC  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.output import note, write_json  # noqa: PLC0415
    from chatlake.cli.status_dates import times_in  # noqa: PLC0415
    from chatlake.cli.status_facts import gather as gather_status  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.exports.destination import STDOUT, open_export  # noqa: PLC0415
    from chatlake.web.report.as_json import document  # noqa: PLC0415
    from chatlake.web.report.calendar import period_of  # noqa: PLC0415
    from chatlake.web.report.gather import gather  # noqa: PLC0415
    from chatlake.web.report.page import page  # noqa: PLC0415
    from chatlake.web.report.verdict import judge  # noqa: PLC0415

    period = None if month is None else period_of(month)
    if month is not None and period is None:
        raise UsageError(f"--month {month}: expected YYYY-MM", hint="For example --month 2026-01.")
    settings, now = load_settings(config), datetime.now(UTC)
    lake = open_lake(settings)

    def ask_status() -> tuple[list[Standing], list[SourceRun]]:
        holder = lake.storage.lock_holder()
        status = gather_status(lake.state, settings, holder, now, times_in(lake))
        return [_standing(source, now) for source in status.sources], status.runs

    facts = gather(lake, ask_status, now, period)
    verdict = judge(facts)
    if as_json:
        write_json(document(facts, verdict))
        return
    with open_export(output, is_json=False) as file:
        file.write(page(facts, verdict).encode())
    if output != STDOUT:
        note(f"{verdict.headline}. Report written to {output}")


def _standing(source: SourceFacts, now: datetime) -> Standing:
    from chatlake.model.manifest import parse_time  # noqa: PLC0415
    from chatlake.model.tables import (  # noqa: PLC0415
        COMPLETIONS,
        CONTENT_PARTS,
        IMAGES,
        MESSAGES,
    )
    from chatlake.web.report.facts import Standing, UnknownField  # noqa: PLC0415

    run, sweep = source.last_complete_run, source.last_sweep
    return Standing(
        name=source.name,
        configured=source.configured,
        completions=source.rows[COMPLETIONS],
        messages=source.rows[MESSAGES],
        content_parts=source.rows[CONTENT_PARTS],
        images=source.rows[IMAGES],
        files=source.files,
        bytes=source.bytes,
        newest_created_at=source.dates.newest,
        last_complete_at=None if run is None else parse_time(run.finished_at or run.started_at),
        last_sweep_at=None if sweep is None else parse_time(sweep.finished_at or sweep.started_at),
        covered_until=source.covered_until,
        expires_at=None if source.expires_in is None else now + source.expires_in,
        retention=source.retention,
        warnings=tuple(source.implausible),
        silence="" if source.silence is None else str(source.silence),
        new_fields=tuple(
            UnknownField(
                source.name,
                each.field,
                each.completions,
                each.completion_id,
                parse_time(each.first_seen_at),
            )
            for each in source.new_fields
        ),
    )
