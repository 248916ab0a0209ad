"""Builds the wheel twice, installs it as a user does, and tries commands and the flow of it.

The two builds start from the same files in different folders, copied in another order and with other
times. Their bytes must be equal: then anyone can build a release again and compare its hash.

`pip install WHEEL` resolves the ranges of pyproject.toml anew, without the lock: a range that admits
a version with which chatlake does not work fails here, and not first on a user's machine. pip asks
the package index that it is configured for.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600
COMMAND_SECONDS = 180
COMPLETIONS = 40
RELEASED = 1_767_225_600
"""The time of the files in the wheel, in seconds since 1970: a release takes that of its commit."""

CONFIG = """\
version: 1
lake: {lake}
sources:
  - name: openai
    base_url: {url}
    api_key: ${{WHEEL_KEY}}
"""


def main() -> None:
    """Build, install, try; a failing step ends the script with its error."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = _build(folder / "first", backwards=False)
        again = _build(folder / "second" / "in a longer path", backwards=True)
        _check_same(wheel, again)
        _check_content(wheel)
        home = folder / "venv"
        venv.create(home, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--no-compile", wheel]
        _run([home / "bin" / "python", *install], INSTALL_SECONDS)
        print(f"installed with all that it needs in {time.monotonic() - began:.0f} s", flush=True)
        _Trial(home / "bin", folder / "work").run()


class _Trial:
    """What a user does first, with the programs in `programs`, in a folder of its own."""

    def __init__(self, programs: Path, work: Path) -> None:
        self._programs = programs
        self._work = work
        work.mkdir()
        mine = ("PYTHONPATH", "VIRTUAL_ENV", "PREFECT_API_URL", "PREFECT_API_KEY")
        self._environment = {name: text for name, text in os.environ.items() if name not in mine}
        self._environment |= {
            "WHEEL_KEY": "sk-wheel",
            "PYTHONSAFEPATH": "1",
            "CHATLAKE_STATE": str(work / "state"),
            "PREFECT_HOME": str(work / "prefect"),
        }

    def run(self) -> None:
        """Ask for the version, back up by the command and by the flow, and count in both lakes."""
        began = time.monotonic()
        self._check_place()
        version = self._output("chatlake", "--version").strip()
        with self._simulator() as url:
            self._configure(url, "by-command")
            self._output("chatlake", "backup")
            self._count_is(COMPLETIONS)
            self._configure(url, "by-flow")
            self._output("python", "-m", "chatlake.flows.backup", "--config", "chatlake.yaml")
            self._count_is(COMPLETIONS)
        self._output("chatlake", "verify")
        took = time.monotonic() - began
        print(f"the wheel works as pip installs it: {version}; tried in {took:.0f} s")

    def _check_place(self) -> None:
        program = "import chatlake, pathlib; print(pathlib.Path(chatlake.__file__).resolve())"
        place = Path(self._output("python", "-c", program).strip())
        if not place.is_relative_to(self._programs.parent.resolve()):
            sys.exit(f"not from the wheel: {place}")

    def _configure(self, url: str, lake: str) -> None:
        (self._work / "chatlake.yaml").write_text(CONFIG.format(url=url, lake=lake))

    def _count_is(self, expected: int) -> None:
        query = "SELECT count(*) AS n, count(DISTINCT completion_id) AS ids FROM completions"
        output = self._output("chatlake", "sql", query, "--format", "csv")
        (row,) = csv.DictReader(output.splitlines())
        if row != {"n": str(expected), "ids": str(expected)}:
            sys.exit(f"expected {expected} completions in the lake, got {row}")

    @contextmanager
    def _simulator(self) -> Iterator[str]:
        """Run `chatlake simulate` on a free port of loopback; yields its base URL."""
        options = ["--port", "0", "--completions", str(COMPLETIONS), "--seed", "3"]
        with subprocess.Popen(
            [self._programs / "chatlake", "simulate", *options],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._work,
            env=self._environment,
        ) as process:
            try:
                assert process.stdout is not None
                first = process.stdout.readline()
                found = re.search(r"http://127\.0\.0\.1:[0-9]+/v1", first)
                if found is None:
                    sys.exit(f"expected the simulator's address, got {first!r}")
                yield found[0]
            finally:
                process.terminate()

    def _output(self, program: str, *arguments: str) -> str:
        command = [self._programs / program, *arguments]
        return _run(command, COMMAND_SECONDS, cwd=self._work, env=self._environment)


def _run(
    command: list[Path | str],
    seconds: float,
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """The standard output of `command`; ends the script with all that it printed if it fails."""
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, cwd=cwd, env=env, check=False
    )
    if ended.returncode != 0:
        shown = " ".join(map(str, command))
        sys.exit(f"{shown}\nended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def _build(folder: Path, *, backwards: bool) -> Path:
    """Copy what the wheel is made of into `folder`, build there, and return the wheel.

    A copy has no `build/` of an earlier build, whose old files setuptools would pack as well.
    """
    made_of = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    made_of += [
        path
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    ]
    for path in sorted(made_of, reverse=backwards):
        copy = folder / "tree" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(RELEASED)}
    _run([*command, "--outdir", folder, folder / "tree"], INSTALL_SECONDS, env=environment)
    (wheel,) = folder.glob("chatlake-*.whl")
    return wheel


def _check_same(wheel: Path, again: Path) -> None:
    """End the script if two builds differ; names the first file that does."""
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, again))
    if first == second:
        print(f"two builds have the same sha256: {first}", flush=True)
        return
    with zipfile.ZipFile(wheel) as left, zipfile.ZipFile(again) as right:
        names = [info.filename for info in left.infolist()]
        if names != [info.filename for info in right.infolist()]:
            sys.exit("two builds of the wheel hold other files, or the same in another order")
        for one, other in zip(left.infolist(), right.infolist(), strict=True):
            if left.read(one) != right.read(other):
                sys.exit(f"two builds of the wheel differ in the bytes of {one.filename}")
            if (one.date_time, one.external_attr) != (other.date_time, other.external_attr):
                sys.exit(f"two builds of the wheel differ in time or mode of {one.filename}")
    sys.exit("two builds of the wheel differ")


def _check_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(ROOT / "src"))
        for pattern in ("*.py", "*.sql", "py.typed")
        for path in (ROOT / "src").rglob(pattern)
    }
    for folder in ("static", "templates"):
        inside = (ROOT / "src" / "chatlake" / "web" / folder).iterdir()
        sources |= {str(path.relative_to(ROOT / "src")) for path in inside}
    missing = sorted(sources - names)
    if missing:
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    extra = sorted(name for name in names - sources if not name.startswith("chatlake-"))
    if extra:
        sys.exit(f"the wheel holds files that are not sources: {', '.join(extra)}")


if __name__ == "__main__":
    main()
