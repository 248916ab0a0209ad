"""`chatlake redact`: what the rules of `redact` would find in the lake."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, OfSourceOption, examples
from chatlake.cli.output import note, printable, say, write_json
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.bootstrap.redactable import Search
    from chatlake.config import Settings

EXAMPLES = examples(
    "chatlake redact --dry-run",
    "chatlake redact --dry-run --json",
    "chatlake redact --hash jane@example.com",
)
_NOT_REWRITTEN = (
    "chatlake redact does not rewrite a lake: the rules of `redact` act before anything is written"
)
_HOW = (
    "chatlake redact --dry-run shows what the lake holds. To remove it, erase the completions "
    "with `chatlake forget`, or back up into a new lake what the source still has."
)


def redact(
    config: ConfigOption = None,
    source: OfSourceOption = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the rules would find in the lake.")
    ] = False,
    value: Annotated[
        str | None,
        typer.Option(
            "--hash",
            metavar="VALUE",
            help="Print what stands for this value in hashed fields; - reads it from standard "
            "input, so that it stays out of the shell's history.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the rules of `redact` would find in the lake.

    Backups redact what they write. What is already in the lake stays, and this command changes
    nothing. It counts values by kind and place, and masks its examples. It does not look into
    images. --hash finds a known person again: it prints the hash that the lake has instead of the
    value. Exit codes: 0 done, 2 without --dry-run or without rules, 7 damaged.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.bootstrap.redactable import find_redactable  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    if dry_run == (value is not None):
        if dry_run:
            raise UsageError("--dry-run and --hash cannot be combined", hint="Give one of them.")
        raise UsageError(_NOT_REWRITTEN, hint=_HOW)
    settings = load_settings(config)
    if value is not None:
        value = sys.stdin.readline().rstrip("\r\n") if value == "-" else value
        _show_hashes(settings, value, source, as_json=as_json)
        return
    names = [] if source is None else [source]
    lake = open_lake(settings)

    def progress(number: int, count: int) -> None:
        if sys.stderr.isatty() and number % 20 == 0:
            print(f"\rreading file {number + 1:,} of {count:,} ", end="", file=sys.stderr)

    search = find_redactable(settings, lake, names=names, progress=progress)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if not search.sources:
        raise UsageError(
            "no source has rules: there is nothing to look for",
            hint="Set `redact` in the configuration, for example redact: {patterns: [email, card]}",
        )
    with after_the_work():
        if as_json:
            write_json({"lake": lake.location, "dry_run": True, **asdict(search)})
        else:
            _show(search)


def _show_hashes(settings: Settings, value: str, source: str | None, *, as_json: bool) -> None:
    from chatlake.bootstrap.redacted_values import hashes_of  # noqa: PLC0415

    if source is not None:
        settings.source(source)  # UsageError for an unknown name
    hashes = hashes_of(settings, value, source=source)
    if as_json:
        write_json({"hashes": hashes})
    elif len(set(hashes.values())) == 1:
        say(next(iter(hashes.values())))
    else:
        for name, text in hashes.items():
            say(f"{name}: {text}")


def _show(search: Search) -> None:
    from chatlake.cli.table import Cell, Layout, lines  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    looked = f"{count(search.rows, 'row')} of {', '.join(search.sources)}"
    if not search.found:
        say(f"Nothing to redact in {looked}")
    else:
        values = sum(each.values for each in search.found)
        say(f"Dry run, nothing was changed. {count(values, 'value')} to redact in {looked}:")
        say()
        headers = ["source", "table", "in raw at", "kind", "values", "rows", "example, masked"]
        rows = [
            [
                Cell(each.source),
                Cell(each.table),
                Cell(printable(each.path) or "-"),
                Cell(each.kind),
                Cell(count(each.values)),
                Cell(count(each.rows)),
                Cell(printable(each.example)),
            ]
            for each in search.found
        ]
        layout = Layout(headers, [False, False, False, False, True, True, False])
        for line in lines(layout, rows, "", ""):
            say("  " + line)
        say()
        note(_HOW.partition("lake holds. ")[2])
    if search.without_rules:
        note(f"Not searched, because they have no rules: {', '.join(search.without_rules)}")
