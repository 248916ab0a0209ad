"""Builds the wheel, installs it away from the sources, and backs up with what was installed.

The dependencies come from the environment that runs this; chatlake itself only from the wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TRY = """
import os, pathlib, sys
import chatlake, chatlake.flows
place = pathlib.Path(chatlake.__file__).resolve()
assert str(place).startswith(sys.prefix), f"not from the wheel: {place}"
assert (place.parent / "py.typed").is_file()
from chatlake.simulator import Faults, Scenario, running
import subprocess
config = pathlib.Path("chatlake.yaml")
with running(Scenario(completions=40, seed=3, now=1_760_000_000), Faults()) as server:
    config.write_text(
        "version: 1\\nlake: lake\\nsources:\\n  - name: openai\\n"
        f"    base_url: {server.base_url}\\n    api_key: ${{WHEEL_KEY}}\\n"
    )
    chatlake_command = [sys.executable, "-m", "chatlake"]
    subprocess.run([*chatlake_command, "backup", "--json"], check=True)
count = subprocess.run(
    [*chatlake_command, "sql", "SELECT count(*) AS n FROM completions", "--format", "csv"],
    check=True, capture_output=True, text=True,
).stdout
assert count.split() == ["n", "40"], count
"""


def main() -> None:
    """Build, install, try; a failing step ends the script with its error."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
        subprocess.run(
            [*build, "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL, cwd=folder
        )
        (wheel,) = folder.glob("chatlake-*.whl")
        _check_content(wheel)
        home = folder / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        # A path line brings in the dependencies, but not the editable chatlake beside them.
        site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        work = folder / "work"
        work.mkdir()
        environment = {**os.environ, "WHEEL_KEY": "sk-wheel", "PYTHONSAFEPATH": "1"}
        environment["CHATLAKE_STATE"] = str(work / "state")
        subprocess.run([python, "-c", TRY], check=True, cwd=work, env=environment)
        version = subprocess.run(
            [home / "bin" / "chatlake", "--version"], check=True, capture_output=True, text=True
        ).stdout.strip()
    print(f"the wheel works away from the sources: {version}")


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
        sys.exit(f"the wheel holds what is no source: {', '.join(extra)}")


if __name__ == "__main__":
    main()
