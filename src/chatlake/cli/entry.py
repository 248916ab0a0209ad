"""Where an error of the command becomes words on standard error and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import typer

from chatlake import signals
from chatlake.cli import streams
from chatlake.cli.app import LogFormat, app, command_for
from chatlake.cli.logs import set_up_logging
from chatlake.cli.output import show, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR, json_line
from chatlake.errors import (
    ChatlakeError,
    RunInterruptedError,
    RunTerminatedError,
    UsageError,
)
from chatlake.model.outside_text import strike_out

PROGRAM = "chatlake"
_OUTPUT_HINT = "Free space there, or write to another place."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (`sys.argv` by default) and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    STANDARD_ERROR.begin()
    words, debug = _debug_first(words)
    words, log_format = _log_format_first(words)
    STANDARD_ERROR.as_json = log_format == LogFormat.json
    as_json = "--json" in _options(words)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    set_up_logging(debug=debug, as_json=STANDARD_ERROR.as_json)
    try:
        code = _run(words)
        STANDARD_ERROR.end(code)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): there is nothing to report.
        streams.drop_output()
        return signals.stopped_with() or 0
    except streams.OutputLostError as lost:
        streams.drop_output()
        message = f"cannot write to standard output: {lost.strerror}"
        return _ended(ChatlakeError(message, hint=_OUTPUT_HINT), as_json=False)
    except KeyboardInterrupt:
        code = signals.stopped_with() or RunInterruptedError.exit_code
        return _ended(_stopped(code), as_json=as_json)
    except SystemExit as stop:
        if stop.code != RunTerminatedError.exit_code:
            raise
        return _ended(_stopped(RunTerminatedError.exit_code), as_json=as_json)
    except Exception as problem:  # noqa: BLE001 - everything ends here, as one or two lines
        by_signal = signals.stopped_with()
        error = _as_error(problem) if by_signal is None else _stopped(by_signal)
        code = _ended(error, as_json=as_json)
        if debug:
            trace = redacted_traceback(problem)
            shown = json_line("debug", trace) if STANDARD_ERROR.as_json else trace
            print(shown, file=sys.stderr)
    return code


def _ended(error: ChatlakeError, *, as_json: bool) -> int:
    """Say what ended the command, and return its exit code."""
    if as_json:
        with suppress(OSError):  # standard output itself may be broken
            write_json({"error": as_document(error)})
    show(error)
    return error.exit_code


def _stopped(code: int) -> ChatlakeError:
    if code == RunTerminatedError.exit_code:
        return RunTerminatedError("terminated", hint="")
    return RunInterruptedError("interrupted", hint="")


def as_document(error: ChatlakeError) -> dict[str, str]:
    """Return an error as `--json` shows it."""
    return {"kind": error.kind, "message": strike_out(error.message), "hint": error.hint}


def _run(words: list[str]) -> int:
    if os.environ.get(f"_{PROGRAM.upper()}_COMPLETE"):  # the shell asks for completions
        typer.main.get_command(app).main(words, prog_name=PROGRAM)
    command = command_for(words)
    try:
        with command.make_context(PROGRAM, words) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _as_error(problem: Exception) -> ChatlakeError:
    if isinstance(problem, ChatlakeError):
        return problem
    # typer uses click or a copy of its own, so this method identifies the errors of both.
    if hasattr(problem, "format_message"):
        context = getattr(problem, "ctx", None)
        command = context.command_path if context is not None else PROGRAM
        message = " ".join(problem.format_message().split()).rstrip(".")
        message = message.replace("Value error, ", "")
        return UsageError(message[:1].lower() + message[1:], hint=f"See `{command} --help`.")
    text = redacted(" ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(": "))
    return ChatlakeError(f"unexpected error: {text} (run with --debug for the traceback)")


def _debug_first(words: list[str]) -> tuple[list[str], bool]:
    """Accept `--debug` anywhere on the command line: it is an option of the whole program."""
    options = _options(words)
    if "--debug" not in options:
        return words, False
    rest = [word for word in options if word != "--debug"] + words[len(options) :]
    return ["--debug", *(rest or ["--help"])], True


def _log_format_first(words: list[str]) -> tuple[list[str], str]:
    """Accept `--log-format` anywhere, too; the option itself refuses a wrong value."""
    options = _options(words)
    for place, word in enumerate(options):
        name, equals, value = word.partition("=")
        if name != "--log-format":
            continue
        end = place + 1 if equals else place + 2
        if not equals and not (value := "".join(options[place + 1 : end])):
            break  # its value is missing
        rest = [*words[:place], *words[end:]]
        return [f"{name}={value}", *(rest or ["--help"])], value
    return words, ""


def _options(words: list[str]) -> list[str]:
    """Return the words before `--`, after which nothing is an option."""
    return words[: words.index("--")] if "--" in words else words


def redacted(text: str) -> str:
    """Return `text` without known secrets; an ellipsis replaces whatever else looks like a key."""
    from chatlake.config.references import without_keys  # noqa: PLC0415 - heavy, rarely needed

    return without_keys(strike_out(text))


def redacted_traceback(problem: BaseException) -> str:
    """Return the traceback of an error, redacted."""
    return redacted("".join(traceback.format_exception(problem)).rstrip())
