"""`chatlake backup`: one backup, in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import note, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError
from chatlake.model.counts import count

if TYPE_CHECKING:
    from chatlake.config import Settings

EXAMPLES = examples(
    "chatlake backup",
    "chatlake backup --source openai --full",
    "chatlake backup --ids-file ids.txt --json",
)


def backup(
    config: ConfigOption = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="Only this source; repeatable."),
    ] = None,
    ids_file: Annotated[
        str | None,
        typer.Option(
            "--ids-file",
            metavar="FILE",
            help="Only these completions, one id per line; - for stdin.",
        ),
    ] = None,
    *,
    full: Annotated[
        bool,
        typer.Option("--full", help="List everything again, to find what changed or was deleted."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done; write nothing.")
    ] = False,
    new_lake: Annotated[
        bool,
        typer.Option("--new-lake", help="Create a new lake where an earlier one is missing."),
    ] = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="Plain lines instead of a progress bar.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Back up what is new, and retry what failed before.

    If there was a lake before and it is missing now (a disk is not mounted), the backup fails and
    changes nothing.

    Exit codes: 0 complete, 3 incomplete (failures are named), 4 configuration, 5 not authorised,
    6 unreachable, 7 lake damaged, 8 locked by another run, 130 or 143 interrupted. What was
    committed stays.
    """
    from chatlake.bootstrap.backup import run_backup  # noqa: PLC0415
    from chatlake.bootstrap.sources import jobs_for  # noqa: PLC0415
    from chatlake.cli.backup_json import backup_document  # noqa: PLC0415
    from chatlake.cli.backup_summary import show_problems, show_summary  # noqa: PLC0415
    from chatlake.cli.progress import progress_shown  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    if full and ids_file is not None:
        raise UsageError(
            "--full and --ids-file cannot be combined",
            hint="--full lists everything, --ids-file fetches only these completions.",
        )
    settings = load_settings(config)
    names = source or []
    ids = None if ids_file is None else _ids(ids_file, settings, names)
    jobs = jobs_for(settings, names=names, ids=ids, full=full)
    with progress_shown(bar=sys.stderr.isatty() and not no_progress) as observer:
        report = run_backup(settings, jobs, observer, dry_run=dry_run, new_lake=new_lake)
    with after_the_work():
        if as_json:
            write_json(backup_document(report))
        else:
            show_summary(report)
    show_problems(report, jobs, settings)
    raise typer.Exit(report.exit_code)


def _ids(ids_file: str, settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Return the ids asked for; UsageError if there are none, or the source is not clear."""
    from chatlake.config import lines_of, parse_ids, read_ids  # noqa: PLC0415

    known = [source.name for source in settings.sources]
    if len(set(names) or set(known)) > 1:
        raise UsageError(
            "--ids-file needs --source: ids belong to one source",
            hint=f"Add one of: {', '.join(f'--source {name}' for name in known)}.",
        )
    name = "standard input" if ids_file == "-" else ids_file
    listed = parse_ids(lines_of(sys.stdin)) if ids_file == "-" else read_ids(Path(ids_file))
    if not listed.ids:
        raise UsageError(
            f"no completion ids in {name}",
            hint="Give one id per line. Without --ids-file, everything is backed up.",
        )
    if listed.duplicates:
        dropped = count(listed.duplicates, "duplicate id")
        note(f"{name}: {dropped} dropped, {count(len(listed.ids))} left")
    return listed.ids
