"""Standard streams that are closed, full or broken, through the real command and a real shell."""

from __future__ import annotations

import gzip
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.simulator import Running, Scenario, running
from tests import preloaded
from tests.command_line import WHOLE, Ended, environment
from tests.support import NOW, backup, rows, settings_for

COUNT = 25
LONG = "sql 'FROM range(2000000)' --format csv"

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """An account to back up."""
    with running(Scenario(completions=COUNT, seed=5, now=NOW)) as server:
        yield server


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, server: Running) -> Path:
    """Back it up once; tests only read that."""
    folder = tmp_path_factory.mktemp("stored")
    backup(settings_for(folder, server.base_url))
    return folder


def shell(folder: Path, line: str, *, whole: bool = False) -> Ended:
    """Run a line of bash in which `chatlake` is this one; the code is that of the whole line."""
    command = shlex.join(WHOLE if whole else preloaded.command())
    done = subprocess.run(
        ["bash", "-c", f'chatlake() {{ {command} "$@"; }}\n{line}'],
        cwd=folder,
        env=environment(CHATLAKE_STATE=str(folder / "state")),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def left_over(folder: Path) -> list[str]:
    """Return the temporary files of exports that lie in a folder."""
    return [path.name for path in folder.iterdir() if path.name.startswith("_")]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("streams", "told"),
    [
        ("2>&-", ""),
        (">&-", "it is closed"),
        ("<&- >&- 2>&-", ""),
        pytest.param(">/dev/full", "No space left", marks=needs_full),
        pytest.param("--json >/dev/full", "No space left", marks=needs_full),
        pytest.param("2>/dev/full", "", marks=needs_full),
        ("| head -c 0; exit ${PIPESTATUS[0]}", ""),
        ("2>&1 | head -c 0; exit ${PIPESTATUS[0]}", ""),
    ],
)
def test_a_backup_is_stored_whatever_becomes_of_what_it_says(
    tmp_path: Path, server: Running, streams: str, told: str
) -> None:
    """Exit code 0, every completion in the lake, and at most one line where one can be read."""
    settings = settings_for(tmp_path, server.base_url)

    done = shell(tmp_path, f"chatlake backup {streams}")

    assert done.code == 0, done.err
    assert rows(settings, "SELECT count(*) FROM completions") == [(COUNT,)]
    assert told in done.err
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err


@pytest.mark.sample(1)
@pytest.mark.parametrize("streams", ["2>&-", ">&-", pytest.param(">/dev/full", marks=needs_full)])
def test_an_incomplete_backup_says_so_by_its_code(tmp_path: Path, streams: str) -> None:
    """The code is that of the work, not of the stream: 6 where the source cannot be reached."""
    settings_for(tmp_path, "http://127.0.0.1:1/v1", pace={"give_up_after": "1s"})

    assert shell(tmp_path, f"chatlake backup {streams}").code == 6


@pytest.mark.sample(2)
@pytest.mark.parametrize("command", ["compact", "vacuum --yes", "verify"])
@pytest.mark.parametrize("streams", [">&-", pytest.param(">/dev/full", marks=needs_full)])
def test_work_that_is_done_counts_more_than_its_report(
    stored: Path, command: str, streams: str
) -> None:
    """If a command did its work but cannot report it, the exit code is 0, with one line."""
    done = shell(stored, f"chatlake {command} {streams}")

    assert done.code == 0
    assert "cannot write to standard output" in done.err


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "command", ["status", "doctor --json", "--version", "sql 'FROM runs'", "sql 'FROM runs' --json",
                "export raw --output -", "export raw --output /dev/stdout"],
)  # fmt: skip
@pytest.mark.parametrize("streams", [">&-", pytest.param(">/dev/full", marks=needs_full)])
def test_an_answer_that_cannot_be_given_is_a_failure(
    stored: Path, command: str, streams: str
) -> None:
    """Exit code 1, or 2 where the option names the closed stream; two lines, what is wrong first."""
    done = shell(stored, f"chatlake {command} {streams}")

    assert done.code in ({1, 2} if "/dev/stdout" in command else {1})
    assert "cannot write" in done.err
    assert "unexpected" not in done.err
    assert len(done.err.splitlines()) == 2


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "command",
    [LONG, "sql 'FROM range(2000000)'", "export raw --output -", "export raw --output /dev/stdout",
     "sql 'FROM range(2000000)' --format parquet --output /dev/stdout", "status"],
)  # fmt: skip
def test_a_reader_who_has_seen_enough_is_no_error(stored: Path, command: str) -> None:
    """`| head` ends it: exit code 0, and nothing on standard error but a count."""
    done = shell(stored, f"chatlake {command} | head -c 4 >/dev/null; exit ${{PIPESTATUS[0]}}")

    assert done.code == 0, done.err
    assert "error" not in done.err.lower()


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "line",
    [
        "chatlake export raw --output /dev/stdout | cat > x",
        "chatlake export raw --output /dev/stdout > x",
        "chatlake export raw --output /dev/fd/3 3> x",
        "chatlake export raw --output /proc/self/fd/3 3> x",
        "ln -s /dev/stdout link; chatlake export raw --output link > x",
        "chatlake export raw --output >(cat > x; touch done); while [ ! -e done ]; do sleep 0.1; done",
        "mkfifo pipe; cat pipe > x & chatlake export raw --output pipe; wait",
        "echo before > x; chatlake export raw --output /dev/stdout >> x; sed -i 1d x",
    ],
)
def test_an_export_goes_to_whatever_the_shell_has_opened(
    stored: Path, tmp_path: Path, line: str
) -> None:
    """Pipes, descriptors and process substitution get the same bytes as a file."""
    config = f"--config {shlex.quote(str(stored / 'chatlake.yaml'))}"
    line = line.replace("export raw", f"export raw {config}")
    assert shell(tmp_path, f"chatlake export raw {config} --output whole").code == 0

    done = shell(tmp_path, line)

    assert done.code == 0, done.err
    assert (tmp_path / "x").read_bytes() == (tmp_path / "whole").read_bytes()
    assert (tmp_path / "whole").read_bytes().count(b"\n") == COUNT
    assert left_over(tmp_path) == []


def test_an_export_is_compressed_on_the_way(stored: Path) -> None:
    """`--output >(gzip > x)`, as people write it."""
    line = "chatlake export raw --output >(gzip > x.gz; touch ok); while [ ! -e ok ]; do sleep 0.1; done"

    assert shell(stored, line).code == 0
    assert gzip.decompress((stored / "x.gz").read_bytes()).count(b"\n") == COUNT


@pytest.mark.sample(2)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("style", ["csv", "parquet"])
def test_a_killed_export_leaves_nothing_that_the_next_does_not_remove(
    stored: Path, tmp_path: Path, number: signal.Signals, style: str
) -> None:
    """The old file stays; temporary files go at once, after SIGKILL with the next export there."""
    output = tmp_path / "result"
    output.write_text("old")
    config = str(stored / "chatlake.yaml")
    query = "SELECT hash(a.range + b.range) FROM range(100000) a, range(100000) b"
    words = ["sql", query, "--format", style, "--output", str(output), "--config", config]
    process = subprocess.Popen(
        [sys.executable, "-m", "chatlake", *words],
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.DEVNULL,
    )
    handles = Path(f"/proc/{process.pid}/fd")
    end = time.monotonic() + 60
    while not any(writes_there(handle, tmp_path) for handle in handles.iterdir()):
        assert time.monotonic() < end, "the export does not begin"
        time.sleep(0.05)
    process.send_signal(number)
    code = process.wait(30)

    assert code in {128 + number, -number}
    assert output.read_text() == "old"
    if number != signal.SIGKILL:
        assert left_over(tmp_path) == []
    assert shell(tmp_path, f"chatlake sql 'SELECT 1' --format {style} --output new "
                 f"--config {shlex.quote(config)}").code == 0  # fmt: skip
    assert left_over(tmp_path) == []


def writes_there(handle: Path, folder: Path) -> bool:
    """Say whether a descriptor is a file in a folder that holds something."""
    try:
        return handle.readlink().is_relative_to(folder) and handle.stat().st_size > 0
    except OSError:
        return False


def test_what_another_export_is_writing_stays(stored: Path, tmp_path: Path) -> None:
    """Only what no process holds is stale."""
    held, stale = tmp_path / "_chatlake-held.tmp", tmp_path / "_chatlake-stale.tmp"
    folder = tmp_path / "_chatlake-folder.tmp"
    folder.mkdir()
    (folder / "result.parquet").write_text("half")
    other = tmp_path / "_mine.tmp"
    for path in (held, stale, other):
        path.write_text("half")
    config = shlex.quote(str(stored / "chatlake.yaml"))

    done = shell(
        tmp_path,
        f"exec 8< _chatlake-held.tmp; flock -x 8; "
        f"chatlake export raw --output raw.jsonl --config {config} 8<&-",
    )

    assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "state") == [
        held.name, other.name, "raw.jsonl", "raw.jsonl.report.json"
    ]  # fmt: skip


def test_where_there_are_no_unnamed_files_a_named_one_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without O_TMPFILE: the same outcome, whether the block ends well or not."""
    from chatlake.exports.destination import open_export

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    with open_export(tmp_path / "x", is_json=False) as file:
        file.write(b"whole")
        assert len(left_over(tmp_path)) == 1
    with pytest.raises(TypeError), open_export(tmp_path / "x", is_json=False) as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert left_over(tmp_path) == []
