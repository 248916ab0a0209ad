"""Registers the commands. What they need is imported when they run, so `--help` is fast."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import CommandInfo

from chatlake import __version__
from chatlake.cli import (
    ask,
    backup,
    browse,
    compact,
    copy,
    doctor,
    export,
    files,
    forget,
    init,
    ledger,
    redact,
    report,
    search,
    serve,
    show,
    simulate,
    sql,
    status,
    vacuum,
    verify,
)
from chatlake.cli.options import examples
from chatlake.cli.output import say


class LogFormat(StrEnum):
    """How the lines on standard error are written."""

    text = "text"
    json = "json"


def _show_version(value: bool) -> None:
    if value:
        say(f"chatlake {__version__}")
        raise typer.Exit


def _program(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Log everything and show tracebacks. Accepted anywhere."),
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format",
            metavar="|".join(LogFormat),
            help="json: each line on standard error is one JSON object. Accepted anywhere.",
        ),
    ] = LogFormat.text,
) -> None:
    pass


def _without_commands() -> typer.Typer:
    program = typer.Typer(
        name="chatlake",
        help="Back up stored chat completions into Parquet files that DuckDB queries.",
        epilog=examples("chatlake init", "chatlake doctor", "chatlake backup", "chatlake status"),
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    program.callback()(_program)
    return program


def command_for(words: Sequence[str]) -> Any:
    """Return the program for a command line: with just the command that it names, if any.

    It is a command of click, for whose class typer has no public name.
    """
    return _command_named(next((word for word in words if not word.startswith("-")), None))


@lru_cache(maxsize=64)
def _command_named(name: str | None) -> Any:
    return typer.main.get_command(_program_named(name))


def _program_named(name: str | None) -> typer.Typer:
    """Return the program with just one command; without a name: with the help of all of them.

    Typer builds every option of every command that it is given, which takes as long as a short
    query. The help of the program itself needs only what each command says of itself.
    """
    program = _without_commands()
    if name is None:
        program.registered_commands = [_without_options(each) for each in app.registered_commands]
        program.registered_groups = app.registered_groups
        return program
    program.registered_commands = [each for each in app.registered_commands if each.name == name]
    program.registered_groups = [each for each in app.registered_groups if each.name == name]
    return program if program.registered_commands or program.registered_groups else app


def _without_options(command: CommandInfo) -> CommandInfo:
    about = command.callback.__doc__ if command.callback else None
    return CommandInfo(name=command.name, help=about, callback=lambda: None)


def _demo(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            metavar="DIR",
            help="Where to keep the demo's lake; by default data/demo or a temporary folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show chatlake in one command, without a key.

    Starts the simulator, backs it up with the Prefect flow, runs three queries, and writes a
    report.
    """
    from chatlake.cli.demo import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(directory))


app = _without_commands()
app.command("init", epilog=init.EXAMPLES)(init.init)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("backup", epilog=backup.EXAMPLES)(backup.backup)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("status", epilog=status.EXAMPLES)(status.status)
app.command("sql", epilog=sql.EXAMPLES)(sql.sql)
app.command("files", epilog=files.EXAMPLES)(files.files)
app.command("ask", epilog=ask.EXAMPLES)(ask.ask)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.command("search", epilog=search.EXAMPLES)(search.search)
app.command("runs", epilog=ledger.RUNS_EXAMPLES)(ledger.runs)
app.command("failures", epilog=ledger.FAILURES_EXAMPLES)(ledger.failures)
app.command("browse", epilog=browse.EXAMPLES)(browse.browse)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("compact", epilog=compact.EXAMPLES)(compact.compact)
app.command("vacuum", epilog=vacuum.EXAMPLES)(vacuum.vacuum)
app.command("copy", epilog=copy.EXAMPLES)(copy.copy)
app.command("forget", epilog=forget.EXAMPLES)(forget.forget)
app.command("redact", epilog=redact.EXAMPLES)(redact.redact)
app.add_typer(export.app, name="export")
app.command(
    "simulate", epilog=simulate.EXAMPLES, add_help_option=False, context_settings=simulate.CONTEXT
)(simulate.simulate)
app.command("demo", epilog=examples("chatlake demo", "chatlake demo --directory ./demo"))(_demo)
