"""`chatlake browse`: conversations in the browser."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatlake.cli.options import ConfigOption, examples
from chatlake.cli.output import note, say
from chatlake.errors import RunTerminatedError

EXAMPLES = examples("chatlake browse", "chatlake browse --port 9000")


def browse(
    config: ConfigOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            metavar="N",
            help="Loopback port; 0 picks a free one. By default 8787, or a free one if that is "
            "taken.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read conversations in the browser.

    Lists and searches conversations, and shows each with its messages, tool calls and images. The
    pages are served on loopback, for you alone: open the address that the command prints. They
    change nothing and load nothing from elsewhere. On SIGINT or SIGTERM it stops.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.web.browse.server import BrowseServer  # noqa: PLC0415

    lake = open_lake(load_settings(config))
    server = BrowseServer(lake, port)

    def announce(address: str) -> None:
        note(f"Reading {lake.location}. Open this address in a browser. Press Ctrl-C to stop.")
        say(address)
        sys.stdout.flush()

    try:
        server.run(announce)
    except SystemExit as stop:
        # A server that is told to stop has done its job.
        if stop.code != RunTerminatedError.exit_code:
            raise
