"""`chatlake demo`: the product in one command, without a key, an account or the internet."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatlake import signals
from chatlake.bootstrap.opened import open_lake
from chatlake.cli.output import note, paint, say, shows_colours
from chatlake.cli.sql_answer import open_for_questions
from chatlake.cli.words import count, duration, shortened
from chatlake.config import load_settings
from chatlake.errors import ChatlakeError, UsageError

COMPLETIONS = 1500
NEW_EACH_TIME = 60
CONFIG_NAME = "demo.yaml"

_STATE_NAME = "demo.json"
_KEY_VARIABLE = "CHATLAKE_DEMO_KEY"
_KEY = "demo-key"
_PER_DAY = 480  # completions: one every three minutes
_FLOW_SECONDS = 240.0
_STOP_SECONDS = 12.0
_LINES_KEPT = 15
_CONFIG = """\
# Written by `chatlake demo`: a stand-in API on loopback takes the place of the real one.
version: 1
lake: lake
sources:
  - name: demo
    base_url: {url}
    api_key: ${{{variable}}}
"""
_QUERIES = (
    (
        "How many tokens did each model use on the newest days?",
        """\
SELECT created_date, model, sum(completions) AS completions, sum(total_tokens) AS tokens
FROM daily_usage
GROUP BY created_date, model
ORDER BY created_date DESC, tokens DESC
LIMIT 8""",
    ),
    (
        "Which tools do the models call, and how often with arguments that are not JSON?",
        """\
SELECT tool_name, count(*) AS calls, count(DISTINCT completion_id) AS completions,
       count(*) FILTER (arguments IS NULL) AS not_json
FROM tool_calls
GROUP BY tool_name
ORDER BY calls DESC
LIMIT 5""",
    ),
    (
        "What do people ask about the pictures that they send?",
        """\
SELECT part.created_at, image.media_type, image.width, image.height, question.text
FROM image_parts AS part
JOIN images AS image USING (source, created_date)
JOIN text_parts AS question USING (source, message_id)
WHERE image.sha256 = part.image_sha256
ORDER BY part.created_at DESC
LIMIT 4""",
    ),
)


def run_demo(directory: Path | None) -> int:
    """Back up a simulated account with the Prefect flow and ask the lake three questions.

    Everything is kept in `directory` (by default `data/demo` of the repository, else a temporary
    folder); run again, it backs up what is new. Returns 0; ChatlakeError names what went wrong.
    No process is left behind.
    """
    started = time.monotonic()
    place = _Place.at(directory)
    with signals.raising_terminated():
        again = f"once more: {count(NEW_EACH_TIME)} are new, " if place.runs else ""
        _step(1, f"starting the stand-in API ({again}{count(place.completions, 'completion')}) …")
        with _simulator(place) as url:
            _detail(url)
            _step(2, "writing a configuration …")
            _write_config(place, url)
            _detail(str(place.config))
            _step(3, "backing up, as a Prefect flow on a server of its own …")
            _run_flow(place)
            place.remember()
        _step(4, "asking the lake …")
        _ask(place)
    _step(5, f"done in {duration(time.monotonic() - started)}. What next:")
    _tell_what_next(place)
    return 0


@dataclass(slots=True)
class _Place:
    """The demo's folder. `runs`: how often it ended here; `begins_at`: UTC seconds of its data."""

    folder: Path
    runs: int
    begins_at: int

    @classmethod
    def at(cls, directory: Path | None) -> _Place:
        folder = (_default_folder() if directory is None else directory.expanduser()).absolute()
        runs, begins_at = 0, (int(time.time()) // 86_400 - 5) * 86_400
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                state = json.loads((folder / _STATE_NAME).read_text(encoding="utf-8"))
                runs, begins_at = int(state["runs"]), int(state["begins_at"])
        except OSError as problem:
            raise UsageError(
                f"{folder}: {problem.strerror or problem}", hint="Choose another --directory."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{folder / _STATE_NAME} was not written by a demo", hint=f"Remove {folder}."
            ) from None
        place = cls(folder, runs, begins_at)
        place._write()
        return place

    @property
    def config(self) -> Path:
        return self.folder / CONFIG_NAME

    @property
    def completions(self) -> int:
        """How many the account holds this time; those of the time before are the same."""
        return COMPLETIONS + self.runs * NEW_EACH_TIME

    def remember(self) -> None:
        """Count a backup that went well."""
        self.runs += 1
        self._write()

    def _write(self) -> None:
        text = json.dumps({"runs": self.runs, "begins_at": self.begins_at})
        (self.folder / _STATE_NAME).write_text(text + "\n", encoding="utf-8")


def _default_folder() -> Path:
    if Path("flows/backup.py").is_file() and Path("data").is_dir():
        return Path("data/demo")
    return Path(tempfile.mkdtemp(prefix="chatlake-demo-"))


@contextlib.contextmanager
def _simulator(place: _Place) -> Iterator[str]:
    """Run the stand-in API; yields its base URL."""
    days = place.completions / _PER_DAY
    command = [
        *("-m", "chatlake.simulator", "--exit-with-parent", "--port", "0", "--seed", "7"),
        *("--api-key", _KEY, "--completions", str(place.completions)),
        *("--days", repr(days), "--now", str(place.begins_at + int(days * 86_400))),
    ]
    with _child(command, os.environ, stderr=None) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        url = process.stdout.readline().decode().strip()
        if not url:
            raise ChatlakeError("the stand-in API did not start; see its message above")
        yield url


def _write_config(place: _Place, url: str) -> None:
    place.config.write_text(_CONFIG.format(url=url, variable=_KEY_VARIABLE), encoding="utf-8")


def _run_flow(place: _Place) -> None:
    """Run the flow in a process of its own and show its log."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")
    }
    environment |= {_KEY_VARIABLE: _KEY, "PREFECT_LOGGING_COLORS": "false", "COLUMNS": "200"}
    environment.setdefault("PREFECT_HOME", str(place.folder / "prefect"))
    environment["CHATLAKE_STATE"] = str(place.folder / "state")  # goes with the folder
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
    """Return the lines that say why: from the error on, which is not shown while it runs."""
    errors = [i for i, line in enumerate(lines) if line.startswith("Error:")]
    return lines[errors[-1] :] if errors else lines


def _shown(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Show what the process prints, and that it lives while it prints nothing; yield its lines."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    started = time.monotonic()
    clock = _Clock()
    waiting_for = "Prefect is starting (20 to 40 s the first time)"
    output = process.stdout.fileno()
    rest = b""
    while True:
        passed = time.monotonic() - started
        if passed > _FLOW_SECONDS:
            raise ChatlakeError(f"the flow run took more than {duration(_FLOW_SECONDS)}")
        clock.show(f"{waiting_for} … {passed:.0f} s")
        if not select.select([output], [], [], 0.5)[0]:
            continue
        read = os.read(output, 65_536)
        *lines, rest = (rest + read).split(b"\n")
        clock.clear()
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            if "Beginning flow run" in text:
                waiting_for = "the flow is running"
            if _is_worth_showing(text):
                _detail(_fitting(text))
            yield text
        if not read:
            break
    clock.clear()


def _is_worth_showing(line: str) -> bool:
    return bool(line) and not line.startswith(("Starting Prefect", "See https://", "Error:"))


def _fitting(text: str) -> str:
    """Cut a line of the log at the terminal's edge."""
    if not sys.stdout.isatty():
        return text
    return shortened(text, max(20, shutil.get_terminal_size().columns - 6))


class _Clock:
    """One line that is written over, on a terminal only; elsewhere its first text is a line."""

    def __init__(self) -> None:
        self._live = shows_colours(sys.stdout)
        self._first = True

    def show(self, text: str) -> None:
        if self._live:
            sys.stdout.write(f"\r\x1b[2K     {paint(text, 'dim')}")
            sys.stdout.flush()
        elif self._first:
            _detail(text.partition(" …")[0] + " …")
        self._first = False

    def clear(self) -> None:
        if self._live:
            sys.stdout.write("\r\x1b[2K")
            sys.stdout.flush()


def _ask(place: _Place) -> None:
    lake = open_lake(load_settings(place.config))
    for question, query in _QUERIES:
        say()
        say(paint(f"-- {question}", "dim"))
        say(paint(query, "bold"))
        say()
        started = time.monotonic()
        with open_for_questions(lake) as questions:
            questions.answer(query, "table", None)
        say(paint(f"({1000 * (time.monotonic() - started):.0f} ms)", "dim"))
    say()


def _tell_what_next(place: _Place) -> None:
    program, folder = _program(), _shown_path(place.folder)
    for what, how in (
        ("ask it yourself", f"{program} sql --config {_shown_path(place.config)} 'SHOW TABLES'"),
        ("with any DuckDB", f"duckdb -readonly {folder}/lake/catalog.duckdb"),
        ("see the files", f"find {folder}/lake"),
        ("back up again", f"{program} demo --directory {folder}"),
        ("your own account", f"{program} init"),
    ):
        say(f"     {what + ':':<18} {how}")


def _program() -> str:
    """Return how to start chatlake here: it may not be on the path."""
    started = Path(sys.argv[0])
    if shutil.which("chatlake") or started.name != "chatlake":
        return "chatlake"
    return _shown_path(started.absolute())


def _shown_path(path: Path) -> str:
    """Return a path for a shell, short where it is below the working folder."""
    below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if below else path))


@contextlib.contextmanager
def _child(
    arguments: Sequence[str], environment: dict[str, str] | os._Environ[str], *, stderr: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python in a process group of its own; at the end nothing of the group is left."""
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
            for _ in range(2):  # asked once it ends in order, asked again at once
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


def _step(number: int, text: str) -> None:
    say(f"{paint(f'{number}/5', 'green')}  {text}")
    sys.stdout.flush()


def _detail(text: str) -> None:
    say(f"     {paint(text, 'dim')}")
    sys.stdout.flush()
