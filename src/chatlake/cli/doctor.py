"""`chatlake doctor`: checks everything that a backup needs, and says what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import paint, printable, say, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR

if TYPE_CHECKING:
    from chatlake.cli.checks import Check

EXAMPLES = examples("chatlake doctor", "chatlake doctor --json", "chatlake doctor --notify-test")
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def doctor(
    config: ConfigOption = None,
    *,
    notify_test: Annotated[
        bool,
        typer.Option(
            "--notify-test",
            help="Send a test message to every target of `notify`, and report how each responded.",
        ),
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check everything that a backup needs.

    Checks configuration, keys, each route of each source, lake, disk, lock and versions. It changes
    nothing. It requests one page of each route, as a backup does. Warnings do not make it fail.
    Only --notify-test sends a message to somebody.

    Exit codes, the first that applies: 4 configuration, 7 lake damaged, 5 not authorised,
    6 unreachable, 1 another failure, 3 a completion cannot be fetched; 0 without a failure.
    """
    from chatlake.cli.checks import exit_code  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    checks = []
    for check in _checks(config, notify_test=notify_test):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        write_json([check.as_document() for check in checks])
    raise typer.Exit(exit_code(checks))


def _checks(config: Path | None, *, notify_test: bool) -> Iterator[Check]:
    from chatlake.cli.checks import failed, passed  # noqa: PLC0415
    from chatlake.cli.checks_config import (  # noqa: PLC0415
        config_checks,
        notify_checks,
        runner_checks,
    )
    from chatlake.cli.checks_identity import Holdings, holdings, shared_list  # noqa: PLC0415
    from chatlake.cli.checks_lake import lake_checks, versions_check  # noqa: PLC0415
    from chatlake.cli.checks_source import source_checks  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.errors import ConfigurationError  # noqa: PLC0415

    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        yield failed("configuration", error)
    else:
        yield passed("configuration", f"{settings.path} is valid")
        doubled = set()
        for check in config_checks(settings):
            doubled.add(check.check)
            yield check
        held, lists = holdings(settings), dict[str, list[str]]()
        for source in settings.sources:
            ids = lists.setdefault(source.name, [])
            yield from source_checks(settings, source, held.get(source.name, Holdings()), ids)
        yield from (check for check in shared_list(lists) if check.check not in doubled)
        yield from notify_checks(settings, test=notify_test)
        yield from runner_checks(settings)
        yield from lake_checks(settings)
    yield versions_check()


def _show(check: Check) -> None:
    mark, style = _MARKS[check.level]
    first, *rest = check.detail.splitlines() or [""]
    say(f"{paint(mark, style)} {check.check}: {printable(first)}")
    for line in rest:
        say(f"  {printable(line)}")
    for line in check.remedy.splitlines():
        say(f"  {paint('→', 'dim')} {printable(line)}")
