"""`chatlake copy`: a second lake, elsewhere, that shows the same commit."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import say, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError

EXAMPLES = examples(
    "chatlake copy /backup/lake",
    "chatlake copy s3://archive/lake",
    "chatlake copy /backup/lake --json",
)


def copy(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DEST",
            help="A folder or a bucket (s3://, gs://, az://), empty or an older copy.",
        ),
    ],
    config: ConfigOption = None,
    *,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the lake to another place, or bring a copy up to date.

    Copies only new files, and checks each against its SHA-256. A backup may run at the same time:
    the copy shows one complete commit, as the lake does. Data that the lake has forgotten since the
    last copy is erased from the copy, too. Exit codes: 0 done, 1 DEST holds another lake, 7 a file
    of the lake is damaged (the copy stays as it was), 8 another run is writing to DEST.
    """
    from chatlake.backup.report import new_run_id  # noqa: PLC0415
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.bytes_shown import bytes_shown  # noqa: PLC0415
    from chatlake.cli.words import size  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.lake.copying import copy_lake  # noqa: PLC0415
    from chatlake.lake.lake import Lake  # noqa: PLC0415
    from chatlake.lake.manifests import read_head  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    settings = load_settings(config)
    lake = open_lake(settings)
    if "://" not in destination and _is_within(destination, lake.location):
        raise UsageError(
            f"{destination} is the lake itself, or lies within it", hint="Give another place."
        )
    other = Lake.open(destination, access=settings.access, create=True)
    with bytes_shown("comparing", "copying", bar=sys.stderr.isatty()) as progress:
        report = copy_lake(lake, other, run_id=new_run_id(), progress=progress)
    head = read_head(other.storage, report.commit)
    fingerprint = None if head is None else head.fingerprint
    with after_the_work():
        if as_json:
            write_json(
                {
                    "lake": lake.location,
                    "copy": other.location,
                    "files": report.files,
                    "bytes": report.bytes,
                    "commits": report.commits,
                    "commit": report.commit,
                    "fingerprint": fingerprint,
                }
            )
        else:
            new = f"{count(report.files, 'new file')}, {size(report.bytes)}"
            say(f"{other.location}: {new}; it now shows commit {count(report.commit)}")
            say(f"Fingerprint {fingerprint}, the same as in {lake.location}")


def _is_within(destination: str, location: str) -> bool:
    place, lake = os.path.realpath(destination), os.path.realpath(location)
    return os.path.commonpath([place, lake]) in (place, lake)
