"""The systemd units of docs/scheduling.md: systemd itself finds nothing wrong with them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks

PLACE = re.compile(r"# (?P<place>/etc/systemd/system/\S+)\n")
ANALYZE = shutil.which("systemd-analyze")
pytestmark = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page's units where systemd-analyze finds them; the program is any that runs."""
    folder = tmp_path_factory.mktemp("units")
    program = folder / "chatlake"
    program.touch(mode=0o755)
    for text in blocks(ROOT / "docs" / "scheduling.md", "ini"):
        named = PLACE.match(text)
        assert named is not None, f"a unit without its path: {text[:60]}"
        file = folder / Path(named["place"]).relative_to("/etc/systemd/system")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace("/srv/chatlake/.venv/bin/chatlake", str(program)))
    return folder


def analyzed(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which contacts no running systemd."""
    return subprocess.run([str(ANALYZE), *words], capture_output=True, text=True, check=False)


def test_systemd_accepts_every_unit_of_the_page(units: Path) -> None:
    """No unknown key, missing unit or wrong value: systemd prints nothing, and the code is 0."""
    files = sorted(str(file) for file in units.iterdir() if file.suffix in {".service", ".timer"})
    assert len(files) == 8
    done = analyzed("verify", "--man=no", *files)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_mistake_in_the_common_part_is_noticed(units: Path, tmp_path: Path) -> None:
    """The common file is in fact read for each service: with a wrong key in it, systemd says so."""
    shutil.copytree(units, tmp_path, dirs_exist_ok=True)
    common = tmp_path / "chatlake-.service.d" / "common.conf"
    common.write_text(common.read_text().replace("ProtectSystem=", "ProtectSistem="))
    done = analyzed("verify", "--man=no", str(tmp_path / "chatlake-backup.service"))
    assert "ProtectSistem" in done.stderr


@pytest.mark.parametrize("name", ["chatlake-backup", "chatlake-verify", "chatlake-serve"])
def test_the_services_are_hardened(units: Path, name: str) -> None:
    """By systemd's own measure, 0 to 10, their exposure is below 3: `OK`."""
    done = analyzed("security", "--offline=yes", "--threshold=30", str(units / f"{name}.service"))
    assert done.returncode == 0, done.stdout[-300:]
