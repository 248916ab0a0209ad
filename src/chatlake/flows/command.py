"""The flows as scripts: arguments and configuration are checked before Prefect is imported."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatlake import signals
from chatlake.bootstrap.prefect_database import own_database, require_known_database
from chatlake.bootstrap.prefect_password import temporary_server_guarded
from chatlake.bootstrap.runners import require_extra, require_lasting_server, require_prefect
from chatlake.bootstrap.secrets import needs_prefect_secrets
from chatlake.bootstrap.sources import job_for_ids, jobs_for
from chatlake.config import Settings
from chatlake.errors import ChatlakeError, RunInterruptedError
from chatlake.flows.configuration import flow_settings
from chatlake.flows.session import in_own_session

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_EXIT_CODES = """\
exit codes: 0 complete, 2 wrong usage, 3 some completions could not be fetched, 4 configuration,
5 not authorised, 6 source unreachable, 7 lake damaged, 8 locked, 130 and 143 interrupted"""


def backup_command(arguments: Sequence[str] | None = None) -> int:
    """Run the flow `backup` from the command line; returns the exit code."""
    parser = _parser("backup", "Back up what is new, as a Prefect flow run.")
    parser.add_argument(
        "--source", action="append", metavar="NAME", help="only this source; repeatable"
    )
    parser.add_argument("--full", action="store_true", help="list everything again")
    values = parser.parse_args(arguments)

    def start(settings: Settings) -> State[Any]:
        from chatlake.flows.backup import backup  # noqa: PLC0415 - imports Prefect

        return backup(
            str(settings.path), sources=values.source, full=values.full, return_state=True
        )

    return _run(
        values.config, lambda settings: jobs_for(settings, names=values.source or ()), start
    )


def export_command(arguments: Sequence[str] | None = None) -> int:
    """Run the flow `export_completions` from the command line; returns the exit code."""
    parser = _parser("export_completions", "Back up only these completions, as a Prefect flow run.")
    parser.add_argument(
        "--ids-file", metavar="FILE", required=True, help="completion ids, one per line"
    )
    parser.add_argument("--source", metavar="NAME", help="required if there are several")
    values = parser.parse_args(arguments)
    ids_file = str(Path(values.ids_file).absolute())

    def start(settings: Settings) -> State[Any]:
        from chatlake.flows.export_completions import export_completions  # noqa: PLC0415

        return export_completions(
            ids_file=ids_file, config=str(settings.path), source=values.source, return_state=True
        )

    return _run(
        values.config,
        lambda settings: [job_for_ids(settings, None, ids_file, values.source)],
        start,
    )


def maintain_command(arguments: Sequence[str] | None = None) -> int:
    """Run the flow `maintain` from the command line; returns the exit code."""
    parser = _parser(
        "maintain",
        "Merge small files, verify a quarter, remove old files, as a Prefect flow run.",
    )
    values = parser.parse_args(arguments)

    def start(settings: Settings) -> State[Any]:
        from chatlake.flows.maintain import maintain  # noqa: PLC0415 - imports Prefect

        return maintain(str(settings.path), return_state=True)

    return _run(values.config, None, start)


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python flows/{name}.py",
        description=f"{description} Without PREFECT_API_URL it starts a Prefect server.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration [$CHATLAKE_CONFIG, ./chatlake.yaml, ./config/chatlake.yaml]",
    )
    return parser


def _run(
    config: Path | None,
    check: Callable[[Settings], object] | None,
    start: Callable[[Settings], State[Any]],
) -> int:
    try:
        settings = flow_settings(config)
        require_prefect()
        if check is not None:
            check(settings)
            require_extra(settings.runner)
            require_lasting_server(settings.runner)
            settings.check_secrets(_later)
    except ChatlakeError as error:
        return _print_error(error)
    print("Starting Prefect, which may take half a minute …", file=sys.stderr, flush=True)
    return in_own_session(lambda: _run_flow(settings, start))


def _run_flow(settings: Settings, start: Callable[[Settings], State[Any]]) -> int:
    # Prefect's server is stopped at exit: a plain SIGTERM would leave it behind.
    signals.raise_terminated()
    try:
        with _own_server(settings):
            state = _tagged(start, settings)
        outcome = _outcome(state)
    except ChatlakeError as error:
        return _print_error(error)
    except KeyboardInterrupt:
        return _print_error(RunInterruptedError("interrupted"))
    if isinstance(outcome, ChatlakeError):
        return _print_error(outcome)
    if not state.is_completed():
        return _print_error(ChatlakeError(state.message or f"the flow run ended as {state.name}"))
    print(f"{state.name}: {state.message}", flush=True)
    return 0


def _outcome(state: State[Any]) -> Any:
    from chatlake.flows.states import is_skipped  # noqa: PLC0415 - imports Prefect

    if state.is_completed() and not is_skipped(state):
        return None
    return state.result(raise_on_failure=False)


@contextlib.contextmanager
def _own_server(settings: Settings) -> Iterator[None]:
    """Give the server that Prefect starts for this run a password and chatlake's own database.

    If you have a server, it is used instead. If the configuration refers to Secret blocks, the
    server opens your own database, which has them.
    """
    from prefect.settings import (  # noqa: PLC0415 - takes seconds
        PREFECT_API_URL,
        PREFECT_SERVER_DATABASE_CONNECTION_URL,
        temporary_settings,
    )

    if PREFECT_API_URL.value():
        yield
        return
    database = None if needs_prefect_secrets(settings) else own_database()
    require_known_database(database)
    updates = {} if database is None else {PREFECT_SERVER_DATABASE_CONNECTION_URL: database}
    with temporary_server_guarded(), temporary_settings(updates):
        yield


def _tagged(start: Callable[[Settings], State[Any]], settings: Settings) -> State[Any]:
    from prefect import tags  # noqa: PLC0415 - takes seconds

    with tags("chatlake", *(source.name for source in settings.sources)):
        return start(settings)


def _later(_name: str) -> str:
    """A placeholder for a Prefect Secret: the run itself reads it once Prefect is imported."""
    return "read later"


def _print_error(error: ChatlakeError) -> int:
    """Print an error and what to do; returns its exit code."""
    print(f"Error: {error.message}", file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)
    return error.exit_code
