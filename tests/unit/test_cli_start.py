"""The program's start is quick, and every wrong command line is reported in a line or two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import chatlake
from chatlake.cli import entry
from chatlake.lake import Lake
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine, environment
from tests.reading_lake import completion, store
from tests.support import KEY, KEY_VARIABLE, NOW, write_config

HEAVY = ("aiohttp", "duckdb", "httpx", "prefect", "pyarrow", "rich", "starlette", "uvicorn", "yaml")
NOT_TO_READ = (
    "aiohttp", "asyncio", "chatlake.simulator", "chatlake.storage.bucket", "chatlake.web", "fsspec",
    "http.client", "httpx", "imagesize", "jinja2", "numpy", "pandas", "prefect", "prompt_toolkit",
    "pyarrow", "re2", "rich.console", "ssl", "starlette", "tenacity", "uvicorn",
)  # fmt: skip
"""What a question to the views does not need."""
NEEDED = "duckdb, msgspec, pydantic, pydantic.main, pydantic.plugin._loader, typer.main, yaml"
"""The libraries of a command that reads; their versions differ in how many modules they have."""


@pytest.fixture
def chatlake_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Run commands where there is no configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    return CommandLine(capsys)


@pytest.fixture(scope="module")
def reading_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and a lake of one completion, whose catalogue is current."""
    folder = tmp_path_factory.mktemp("reading")
    (folder / "chatlake.yaml").write_text(
        "version: 1\nlake: lake\nsources: [{name: openai, base_url: 'http://127.0.0.1:1/v1', "
        "api_key: '${A_KEY}'}]\n"
    )
    lake = Lake.open(folder / "lake", create=True, prices=())
    asked = {"role": "user", "content": "My order?"}
    store(lake, [(completion("chatcmpl-1", "2026-01-02T12:00"), [asked])])
    return folder


@pytest.mark.parametrize("words", [[], ["--version"], ["--help"], ["backup", "--help"]])
def test_nothing_heavy_is_imported_to_start(words: list[str]) -> None:
    """Version and help need no library that takes long to import."""
    # typer itself imports pydantic for the help of a single command, which takes little.
    heavy = HEAVY if "backup" in words else (*HEAVY, "pydantic")
    call = f"import sys, chatlake.cli as cli; cli.main({words!r}); "
    check = f"sys.exit(', '.join(name for name in {heavy!r} if name in sys.modules) or None)"
    done = subprocess.run(
        [sys.executable, "-c", call + check],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(
    "words", [["sql", "SELECT 1"], ["status"], ["runs"], ["search", "order"], ["files", "messages"]]
)
def test_commands_that_read_import_only_what_reading_needs(
    reading_place: Path, words: list[str]
) -> None:
    """A question to a lake whose catalogue is current needs DuckDB, and not Arrow or HTTP."""
    call = f"import sys, chatlake.cli as cli; code = cli.main({words!r}); "
    check = f"sys.exit(code or ' '.join(m for m in {NOT_TO_READ!r} if m in sys.modules) or None)"
    done = subprocess.run(
        [sys.executable, "-c", call + check],
        env=environment(),
        cwd=reading_place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "most"), [(["--help"], 55), (["sql", "SELECT 1"], 140), (["status"], 155)]
)
def test_a_command_starts_with_few_modules(
    reading_place: Path, words: list[str], most: int
) -> None:
    """Help and short questions import few modules beside their libraries, so they start quickly."""
    begin = f"import sys, {NEEDED}; before = len(sys.modules); import chatlake.cli as cli; "
    call = f"code = cli.main({words!r}); "
    count = "more = len(sys.modules) - before; "
    check = f"sys.exit(code or (f'{{more}} modules' if more > {most} else 0))"
    done = subprocess.run(
        [sys.executable, "-c", begin + call + count + check],
        env=environment(),
        cwd=reading_place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_backup_imports_only_what_it_needs(tmp_path: Path) -> None:
    """A backup into a folder needs neither Prefect nor a cloud, Arrow's functions or a reader."""
    not_needed = (
        "chatlake.api.notification", "chatlake.bootstrap.prefect_database", "chatlake.exports",
        "chatlake.lake.files.rewriting", "chatlake.simulator", "chatlake.storage.bucket",
        "chatlake.verify", "chatlake.web", "fsspec", "imagesize", "jinja2", "jsonschema", "numpy",
        "pandas", "prefect", "prompt_toolkit", "pyarrow.compute", "pyarrow.dataset", "re2",
        "sqlalchemy", "sqlite3", "starlette", "uvicorn",
    )  # fmt: skip
    call = "import sys, chatlake.cli as cli; code = cli.main(['backup', '--json']); "
    check = f"sys.exit(code or ' '.join(m for m in {not_needed!r} if m in sys.modules) or None)"
    with running(Scenario(completions=3, image_share=0.0, now=NOW, api_key=KEY)) as server:
        write_config(tmp_path, server.base_url)
        done = subprocess.run(
            [sys.executable, "-c", call + check],
            env={**environment(), KEY_VARIABLE: KEY},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "complete"


def test_python_m_chatlake_is_the_same_program() -> None:
    """`python -m chatlake --version` prints the version."""
    words = [sys.executable, "-m", "chatlake", "--version"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"chatlake {chatlake.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["backpu"], "did you mean 'backup'"),
        (["backup", "--sorce", "x"], "--source"),
        (["sql"], "'query'"),
        (["sql", "SELECT 1", "--format", "xml"], "'xml'"),
        (["export", "raw"], "--output"),
        (["simulate", "--completions", "many"], "--completions"),
        (["simulate", "--retry-after", "never"], "--retry-after"),
    ],
)
def test_a_wrong_command_line_is_told_in_two_lines(
    chatlake_command: CommandLine, words: list[str], told: str
) -> None:
    """Exit code 2: what is wrong, the nearest right word, where the help is."""
    done = chatlake_command(*words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err.lower()
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["error", "hint"]


def test_an_error_is_a_json_document_where_json_was_asked_for(
    chatlake_command: CommandLine,
) -> None:
    """`--json`: kind, message and hint on standard output, the lines for people beside it."""
    for words in (["status", "--json"], ["backup", "--json"], ["doctor", "--jsn", "--json"]):
        done = chatlake_command(*words)
        assert set(json.loads(done.out)["error"]) == {"kind", "message", "hint"}
        assert done.err.startswith("error: ")


def test_without_a_configuration_the_way_to_one_is_told(chatlake_command: CommandLine) -> None:
    """Exit code 4, and `chatlake init` as the remedy."""
    done = chatlake_command("status")
    assert done.code == 4
    assert "chatlake init" in done.err


def test_every_problem_of_a_configuration_is_a_line(
    chatlake_command: CommandLine, tmp_path: Path
) -> None:
    """Exit code 4; each problem names file, line and key."""
    (tmp_path / "chatlake.yaml").write_text("version: 1\nlake: x\nlack: y\n")
    done = chatlake_command("backup")
    assert done.code == 4
    assert [line for line in done.err.splitlines() if line.startswith("error: chatlake.yaml:")]
    assert done.err.count("error: ") == 2


@pytest.mark.parametrize("words", [["--debug", "status"], ["status", "--debug"]])
def test_only_debug_shows_a_traceback(chatlake_command: CommandLine, words: list[str]) -> None:
    """`--debug` may stand before or after the command."""
    assert "Traceback" not in chatlake_command("status").err
    assert "Traceback" in chatlake_command(*words).err


def test_an_error_that_nobody_expected_is_one_line(
    chatlake_command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, its name, and how to learn more."""

    def fail(_words: list[str]) -> int:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(entry, "_run", fail)
    done = chatlake_command("status")
    assert done.code == 1
    assert done.err == (
        "error: unexpected error: ZeroDivisionError: by nothing "
        "(run with --debug for the traceback)\n"
    )


def test_a_traceback_hides_what_looks_like_a_key(
    chatlake_command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in some library's message is not in the traceback."""

    def fail(_words: list[str]) -> int:
        raise ValueError("Bearer sk-proj-abcdefghijklmnop123456")

    monkeypatch.setattr(entry, "_run", fail)
    assert "abcdefghijklmnop123456" not in chatlake_command("status", "--debug").err


def test_an_interrupt_ends_with_code_130(
    chatlake_command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C outside a backup: one line."""

    def fail(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_run", fail)
    done = chatlake_command("status")
    assert (done.code, done.err) == (130, "error: interrupted\n")
