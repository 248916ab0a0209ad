"""`chatlake status`: what is in the lake, and what is missing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import show, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.cli.status_age import MaxAge
    from chatlake.config import Settings
    from chatlake.lake.lake import Lake

EXAMPLES = examples(
    "chatlake status",
    "chatlake status --json",
    "chatlake status --max-age 26h >/dev/null",
    "chatlake status --format openmetrics",
)


class StatusFormat(StrEnum):
    """How the status is written."""

    text = "text"
    json = "json"
    openmetrics = "openmetrics"


def status(
    config: ConfigOption = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="DURATION",
            help="End with 3 if the last complete backup of any configured source is older than "
            "this, or there is none: 26h for a nightly backup.",
            show_default=False,
        ),
    ] = None,
    *,
    style: Annotated[
        StatusFormat | None,
        typer.Option(
            "--format",
            metavar="|".join(StatusFormat),
            help="openmetrics: for Prometheus, by the textfile collector of node_exporter.",
            show_default="text",
        ),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is backed up, and what is missing.

    Also shows the last runs, the last full sweep, the open gaps, and how long the source will keep
    what is not backed up yet. Contacts no source and needs no key. JSON has the last 5 runs, and
    `chatlake runs --limit N` shows more. Exit codes: 0, even with open gaps; 3 if a backup is older
    than --max-age, and one line on standard error names it.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    from chatlake.cli.status_age import MaxAge, stale_sources  # noqa: PLC0415
    from chatlake.cli.status_dates import times_in  # noqa: PLC0415
    from chatlake.cli.status_facts import gather  # noqa: PLC0415
    from chatlake.cli.status_json import status_document  # noqa: PLC0415
    from chatlake.cli.status_metrics import metrics_text  # noqa: PLC0415
    from chatlake.cli.status_text import show_status  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.lake.manifests import read_head  # noqa: PLC0415
    from chatlake.verify.record import Record  # noqa: PLC0415

    chosen = _format_of(style, as_json=as_json)
    limit = None if max_age is None else MaxAge.parse(max_age)
    settings = load_settings(config)
    lake = _opened(settings, limit)
    holder, now = lake.storage.lock_holder(), datetime.now(UTC)
    facts = gather(lake.state, settings, holder, now, times_in(lake))
    facts.count_unlisted(lake.leftovers())
    if head := read_head(lake.storage, lake.state.number):
        facts.fingerprint, facts.head_sha256 = head.fingerprint, head.sha256
    facts.note_verification(Record.load(lake.storage), lake.state.files)
    error = None if limit is None else stale_sources(facts, limit)
    if chosen is StatusFormat.json:
        write_json(status_document(lake.location, facts, error))
    elif chosen is StatusFormat.openmetrics:
        print(metrics_text(facts), end="")
    else:
        show_status(lake.location, facts)
    if error is not None:
        show(error)
        raise typer.Exit(error.exit_code)


def _format_of(style: StatusFormat | None, *, as_json: bool) -> StatusFormat:
    if as_json and style not in (None, StatusFormat.json):
        raise UsageError(f"--json and --format {style} cannot be combined", hint="Give one.")
    return StatusFormat.json if as_json else style or StatusFormat.text


def _opened(settings: Settings, max_age: MaxAge | None) -> Lake:
    """Open the lake. With `max_age`, one that does not exist yet is as stale as can be."""
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.status_age import never_backed_up  # noqa: PLC0415
    from chatlake.errors import LakeNotFoundError  # noqa: PLC0415

    try:
        return open_lake(settings)
    except LakeNotFoundError:
        if max_age is None:
            raise
        raise never_backed_up(settings.lake_location, max_age) from None
