"""`chatlake serve`: the Prefect flows, by the configuration's schedule."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from chatlake import signals
from chatlake.cli.options import ConfigOption, examples
from chatlake.cli.output import note

EXAMPLES = examples(
    "chatlake serve",
    "chatlake serve --config /srv/chatlake/chatlake.yaml --port 4300",
    "PREFECT_API_URL=https://prefect.example.com/api chatlake serve --name azure",
)
_NAME = r"[A-Za-z0-9_-]{1,64}"


def serve(
    config: ConfigOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65_535,
            metavar="N",
            help="Loopback port of the Prefect server that chatlake starts if PREFECT_API_URL is "
            "not set; by default 4200, or a free one if that is taken.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Suffix of the deployments' names, to tell them from those of another "
            "configuration on the same Prefect server.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Schedule the flows, and keep running.

    The backup runs at `schedule.cron` of the configuration. On Sundays, a full sweep runs two
    hours after the first backup time of the day, and maintenance (compact, verify a quarter,
    vacuum) four hours after it. Runs wait for each other. `serve` uses the Prefect server of
    PREFECT_API_URL, or starts its own and stops it at the end. The pages of that server ask for a
    password; `serve` prints the password, or the name of a file that contains it. On SIGINT or
    SIGTERM it stops; a running backup first commits what it has fetched, and the next run continues
    from there. Exit codes: 4 configuration, 130 or 143 interrupted, 1 no Prefect server.
    """
    import re  # noqa: PLC0415

    from chatlake.bootstrap.runners import (  # noqa: PLC0415
        require_extra,
        require_lasting_server,
        require_prefect,
    )
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.errors import UsageError  # noqa: PLC0415

    if name and not re.fullmatch(_NAME, name):
        raise UsageError(
            f"--name {name}: expected 1 to 64 letters, digits, _ and -", hint="--name production"
        )
    settings = load_settings(config)
    require_prefect()
    require_extra(settings.runner)
    require_lasting_server(settings.runner)
    settings.check_secrets(lambda _: "a secret that is read later")
    note("Starting Prefect, which may take half a minute …")
    words = [str(settings.path), *(["--port", str(port)] if port else []), "--name", name]
    sys.stdout.flush()
    # A signal while the other program starts is not lost: it arrives when that program can handle
    # it.
    signals.hold_back_stops()
    os.execv(sys.executable, [sys.executable, "-m", "chatlake.flows.serve", *words])  # noqa: S606
