"""The simulator against OpenAI's own specification, by requests that schemathesis makes of it."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chatlake.simulator import Running, Scenario, running
from chatlake.simulator.scenario import Mix
from tests.stand_in import missing
from tests.support import NOW

CHECK = Path(__file__).parents[1] / "specification" / "check.py"
MIXES: list[Mix] = ["plain", "readers"]
KEY = "sk-the-only-one"

pytestmark = pytest.mark.slow


def check(kind: str, server: Running, *more: object) -> subprocess.CompletedProcess[str]:
    """Run `check.py` by the Python that has the specification, or leave the test out."""
    python = os.environ.get("CHATLAKE_SPECIFICATION_PYTHON", "")
    if not Path(python).is_file():
        missing("OpenAI's specification and schemathesis (requirements-specification.lock)")
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "SCHEMATHESIS", "HYPOTHESIS"))
    }
    return subprocess.run(
        [python, CHECK, kind, server.base_url, KEY, *map(str, more)],
        env=environment | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def swept() -> list[dict[str, Any]]:
    """What `check.py sweep` finds: in both mixes, and in a simulator with a wrong response."""
    scenarios = [
        *(
            Scenario(completions=250, now=NOW, api_key=KEY, mix=mix, image_share=0.3)
            for mix in MIXES
        ),
        Scenario(completions=3, now=NOW, api_key=KEY, created="text"),
    ]
    with ExitStack() as serving:
        first, *others = [serving.enter_context(running(scenario)) for scenario in scenarios]
        done = check("sweep", first, *(other.base_url for other in others))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_each_response_is_one_of_the_specification(tmp_path: Path) -> None:
    """Right and wrong requests to all five operations: each response is one that it allows."""
    with running(Scenario(completions=200, now=NOW, api_key=KEY)) as server:
        done = check("generate", server, tmp_path / "report.json", 30)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["operations"]["tested"] == 5
    assert report["failures"] == []
    for operation, phases in report["valid_rates"].items():
        assert phases["fuzzing"]["accepted"] >= 5, f"{operation}: hardly a request reached a row"


def test_everything_stored_is_as_specified(swept: list[dict[str, Any]]) -> None:
    """Every completion and message of both mixes; some response needs each named difference."""
    found = swept[: len(MIXES)]
    assert [each["violations"] for each in found] == [[], []]
    assert min(each["responses"] for each in found) > 300
    assert set.intersection(*(set(each["unneeded"]) for each in found)) == set()


def test_a_wrong_response_is_found(swept: list[dict[str, Any]]) -> None:
    """A creation time in a text, as some servers send it, is a violation."""
    assert any("created" in violation for violation in swept[-1]["violations"])
