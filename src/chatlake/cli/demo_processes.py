"""The two processes of `chatlake demo`, the simulated API and the flow, and what they show."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chatlake.cli.demo_place import KEY_VARIABLE, DemoPlace
from chatlake.cli.output import detail, note
from chatlake.cli.words import duration, shortened
from chatlake.errors import ChatlakeError

_KEY = "demo-key"
_PER_DAY = 480  # completions: one every three minutes
_FLOW_SECONDS = 240.0
_STOP_SECONDS = 12.0
_LINES_KEPT = 15


@contextlib.contextmanager
def simulator(place: DemoPlace) -> Iterator[str]:
    """Run the simulated API; yields its base URL. ChatlakeError if it does not start."""
    days = place.completions / _PER_DAY
    command = [
        *("-m", "chatlake.simulator", "--exit-with-parent", "--port", "0", "--seed", "7"),
        *("--api-key", _KEY, "--completions", str(place.completions)),
        *("--mix", place.mix),
        *("--days", repr(days), "--now", str(place.begins_at + int(days * 86_400))),
    ]
    with _child(command, os.environ, stderr=None) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        url = process.stdout.readline().decode().strip()
        if not url:
            raise ChatlakeError("the simulated API did not start; see its message above")
        yield url


def run_flow(place: DemoPlace) -> None:
    """Run the flow in its own process and show its log. ChatlakeError if the flow fails."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")
    }
    environment |= {KEY_VARIABLE: _KEY, "PREFECT_LOGGING_COLORS": "false", "COLUMNS": "200"}
    environment.setdefault("PREFECT_HOME", str(place.folder / "prefect"))
    environment["CHATLAKE_STATE"] = str(place.folder / "state")  # removed with the folder
    command = ["-m", "chatlake.flows.backup", "--config", str(place.config)]
    with _child(command, environment, stderr=subprocess.STDOUT) as process:
        last = deque(_shown(process), maxlen=_LINES_KEPT)
        code = process.wait()
    if code != 0:
        for line in _reason(list(last)):
            note(line)
        raise ChatlakeError(
            f"the flow run ended with exit code {code}; see its last lines above",
            hint=f"Remove {place.folder} to start over.",
        )


def _reason(lines: list[str]) -> list[str]:
    """Return the lines from the error on, which are not shown while the flow runs."""
    errors = [i for i, line in enumerate(lines) if line.startswith("Error:")]
    return lines[errors[-1] :] if errors else lines


def _shown(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines that the process prints, and show them with a clock below them.

    ChatlakeError if it takes more than four minutes.
    """
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    ends_at = time.monotonic() + _FLOW_SECONDS
    output = process.stdout.fileno()
    rest = b""
    with _clock("Prefect is starting (20 to 40 s the first time)") as says:
        while True:
            if not select.select([output], [], [], max(0.0, ends_at - time.monotonic()))[0]:
                raise ChatlakeError(f"the flow run took more than {duration(_FLOW_SECONDS)}")
            read = os.read(output, 65_536)
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                if "Beginning flow run" in text:
                    says("the flow is running")
                if _is_worth_showing(text):
                    detail(_fitting(text))
                yield text
            if not read:
                return


@contextlib.contextmanager
def _clock(text: str) -> Iterator[Callable[[str], object]]:
    """Show a spinner, `text` and the time that has passed; yields a function that changes the text.

    rich prints other output above it. Without a terminal, `text` is printed once, as a line.
    """
    console = Console(highlight=False)
    clock = Progress(
        TextColumn("    "),
        SpinnerColumn(),
        TextColumn("{task.description} …", style="dim", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )
    if clock.disable:
        detail(f"{text} …")
    with clock:
        task = clock.add_task(text, total=None)
        yield lambda text: clock.update(task, description=text)


def _is_worth_showing(line: str) -> bool:
    return bool(line) and not line.startswith(("Starting Prefect", "See https://", "Error:"))


def _fitting(text: str) -> str:
    """Cut a line of the log at the terminal's edge."""
    if not sys.stdout.isatty():
        return text
    return shortened(text, max(20, shutil.get_terminal_size().columns - 6))


@contextlib.contextmanager
def _child(
    arguments: Sequence[str], environment: Mapping[str, str], *, stderr: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python in its own process group; at the end no process of the group is left."""
    process = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        try:
            for _ in range(2):  # the first signal ends it cleanly, the second at once
                if process.poll() is None:
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.communicate(timeout=_STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
