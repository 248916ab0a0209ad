"""One Prefect server for all tests of the flows, in a home of its own."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

_HOME = tempfile.mkdtemp(prefix="chatlake-prefect-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
# Before any test imports Prefect, which reads it once: nothing of the user's is read or changed.
os.environ["PREFECT_HOME"] = _HOME
# Ray reads these when it is imported: loopback alone, and no token in the user's home.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE"):
    os.environ.pop(name, None)

from chatlake.flows.leaving import ends_with  # noqa: E402
from chatlake.simulator import Running, Scenario, running  # noqa: E402
from tests.flows.prefect_server import COUNT, Prefect  # noqa: E402
from tests.support import KEY, KEY_VARIABLE, NOW, write_config  # noqa: E402

ends_with(1)  # if a worker of a test bounds the end of the tests, that is no success


@pytest.fixture(scope="package")
def prefect_server() -> Iterator[Prefect]:
    """Run Prefect's own test server: slow to start, so one for all, and never idle, so no longer."""
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL
    from prefect.testing.utilities import prefect_test_harness

    try:
        with prefect_test_harness(server_startup_timeout=110):
            url = str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value())
            yield Prefect(Path(url.partition(":///")[2]))
    finally:
        # The harness stops its server when Python ends, and would log it to a stream of pytest.
        logging.getLogger("prefect").setLevel(logging.ERROR)


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve some mixed completions, to the tests' key only."""
    with running(Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def config(server: Running, tmp_path: Path) -> Iterator[Path]:
    """Point a configuration at it, and have its key in the environment."""
    with mock.patch.dict(os.environ, {KEY_VARIABLE: KEY}):
        yield write_config(tmp_path, server.base_url)
