"""`chatlake vacuum`: removes files that no manifest lists any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import note, say, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.lake.lake import Lake
    from chatlake.lake.vacuum import Unlisted
    from chatlake.storage.interface import StoredFile

EXAMPLES = examples(
    "chatlake vacuum --dry-run", "chatlake vacuum", "chatlake vacuum --older-than 30d --yes"
)


def vacuum(
    config: ConfigOption = None,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="DURATION",
            help="Only files that were written and replaced longer ago than this. 0s: all, even "
            "files that a query may be reading now.",
        ),
    ] = "7d",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask first. Without a terminal, it never asks.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove files that no manifest lists.

    They were replaced, or left behind by killed runs. The command shows what it would remove, and
    asks first. It never removes data of the lake or manifests. Exports that started before the
    files were replaced may still read them; --older-than gives them time. Newer unlisted files in
    the tables' folders move to `replaced/`, so that a glob over the folders counts correctly. Exit
    codes: 0 done, 7 a manifest is damaged (nothing was removed), 8 locked by another run.
    """
    from chatlake.bootstrap.maintenance import tidy_lake, unlisted_now, vacuum_lake  # noqa: PLC0415
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    age = _age(older_than)
    lake = open_lake(load_settings(config))
    begun_at = time.monotonic()
    found = unlisted_now(lake, age)
    removed: list[StoredFile] = []
    if found.removable and not dry_run:
        note(f"About to remove {_in_folders(found.removable)}")
        if yes or not _is_asked() or _confirmed():
            removed, found = vacuum_lake(lake, age)
    elif not dry_run and not found.is_tidy:
        tidy_lake(lake)
    named = found.removable if dry_run else removed
    with after_the_work():
        if as_json:
            seconds = round(time.monotonic() - begun_at, 3)
            write_json(_document(lake, named, found, age, seconds, dry_run=dry_run))
        else:
            _show(named, found, older_than, dry_run=dry_run)


def _age(text: str) -> timedelta:
    from chatlake.config.durations import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--older-than {text}: {error}", hint="--older-than 7d") from error


def _is_asked() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirmed() -> bool:
    STANDARD_ERROR.write_out()
    print("Remove them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _document(
    lake: Lake,
    named: Sequence[StoredFile],
    found: Unlisted,
    age: timedelta,
    seconds: float,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "lake": lake.location,
        "dry_run": dry_run,
        "older_than_seconds": age.total_seconds(),
        "removed": len(named),
        "bytes": sum(file.size for file in named),
        "kept": len(found.kept),
        "kept_bytes": sum(file.size for file in found.kept),
        "seconds": seconds,
        "files": [{"path": file.path, "bytes": file.size} for file in named],
    }


def _show(named: Sequence[StoredFile], found: Unlisted, older_than: str, *, dry_run: bool) -> None:
    from chatlake.cli.words import size  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    if not found.removable:
        say(f"Nothing to remove: every file older than {older_than} is listed")
    elif dry_run:
        say(f"Dry run, nothing was removed. chatlake vacuum would remove {_in_folders(named)}")
    elif named:
        say(f"Removed {_in_folders(named)}")
    else:
        say("Nothing was removed")
    if found.kept:
        octets = sum(file.size for file in found.kept)
        young = f"{count(len(found.kept), 'file')} ({size(octets)})"
        say(f"Kept {young} that no manifest lists: written or replaced within {older_than}")


def _in_folders(files: Sequence[StoredFile]) -> str:
    """Return how many files there are, their size, and how many lie in each folder."""
    from chatlake.cli.words import size  # noqa: PLC0415
    from chatlake.lake.vacuum import by_folder  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    octets = sum(file.size for file in files)
    folders = ", ".join(f"{count(n)} in {name}" for name, n in sorted(by_folder(files).items()))
    return f"{count(len(files), 'file')} ({size(octets)}){': ' if folders else ''}{folders}"
