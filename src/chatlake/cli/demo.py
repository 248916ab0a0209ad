"""`chatlake demo`: the product in one command, without a key, an account or the internet."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from pathlib import Path

from chatlake import signals
from chatlake.bootstrap.opened import open_lake
from chatlake.cli.demo_place import NEW_EACH_TIME, DemoPlace
from chatlake.cli.demo_processes import run_flow, simulator
from chatlake.cli.output import detail, paint, say
from chatlake.cli.report import report
from chatlake.cli.sql_answer import open_for_questions
from chatlake.cli.words import duration
from chatlake.config import load_settings
from chatlake.model.counts import count

REPORT = "report.html"
_WITH_A_PICTURE = "SELECT arg_max(completion_id, (image_count > 0, created_at)) FROM completions"
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
SELECT left(question.text, 60) AS question, image.media_type, image.width,
       count(DISTINCT part.completion_id) AS completions, max(part.created_at) AS last_asked
FROM image_parts AS part
JOIN images AS image USING (source, created_date)
JOIN text_parts AS question USING (source, message_id)
WHERE image.sha256 = part.image_sha256
GROUP BY ALL
ORDER BY last_asked DESC
LIMIT 4""",
    ),
)


def run_demo(directory: Path | None) -> int:
    """Back up a simulated account with the Prefect flow, ask the lake, and write its report.

    Everything is kept in `directory` (by default `data/demo` of the repository, else a temporary
    folder); run again, it backs up what is new. Returns 0; ChatlakeError names what went wrong.
    No process is left behind.
    """
    started = time.monotonic()
    place = DemoPlace.at(directory)
    with signals.raising_terminated():
        again = f"run again: {count(NEW_EACH_TIME)} are new, " if place.runs else ""
        _step(1, f"starting the simulated API ({again}{count(place.completions, 'completion')}) …")
        with simulator(place) as url:
            detail(url)
            _step(2, "writing a configuration …")
            place.write_config(url)
            detail(str(place.config))
            _step(3, "backing up, as a Prefect flow with its own server …")
            run_flow(place)
            place.remember()
        _step(4, "querying the lake …")
        _ask(place)
        report(str(place.folder / REPORT), config=place.config)
    _step(5, f"done in {duration(time.monotonic() - started)}. What next:")
    _tell_what_next(place)
    return 0


def _ask(place: DemoPlace) -> None:
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


def _tell_what_next(place: DemoPlace) -> None:
    program, folder = _program(), _shown_path(place.folder)
    config = f"--config {_shown_path(place.config)}"
    with open_for_questions(open_lake(load_settings(place.config))) as questions:
        ((newest,),) = questions.read(lambda views: views.execute(_WITH_A_PICTURE).fetchall())
    for what, how in (
        ("report to share", f"{folder}/{REPORT}"),
        ("read in a browser", f"{program} browse {config}"),
        ("find words", f"{program} search {config} invoice"),
        ("read one", f"{program} show {config} {newest}"),
        ("common questions", f"{program} ask {config}"),
        ("your own SQL", f"{program} sql {config} 'SHOW TABLES'"),
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
    """Return a path for a shell, relative if it is below the working folder."""
    below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if below else path))


def _step(number: int, text: str) -> None:
    say(f"{paint(f'{number}/5', 'green')}  {text}")
    sys.stdout.flush()
