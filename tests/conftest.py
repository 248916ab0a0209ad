"""Shared by all tests: the same examples on every machine, servers, and how tests are spread."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.temporary import use_memory

# Before multiprocessing is imported: what it has in this folder, it removes at exit, and first.
use_memory()

from hypothesis import settings  # noqa: E402

from chatlake import failpoints  # noqa: E402
from chatlake.model.outside_text import SECRETS  # noqa: E402
from tests.command_line import CommandLine  # noqa: E402
from tests.support import KEY, KEY_VARIABLE, QUICK_EXAMPLES, waiting_briefly  # noqa: E402

if TYPE_CHECKING:
    from tests.azure_server import AzureServer
    from tests.gcs_server import GcsServer
    from tests.moto_server import S3Server

# Fail-points can be armed in what the tests start, and nowhere else.
os.environ[failpoints.SWITCH] = "1"

# `make test` tries few examples of each property, and always the same; `thorough` is for a night.
settings.register_profile("quick", max_examples=QUICK_EXAMPLES, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Those that need a Prefect server; it takes long to start, so one process has them all.
WITH_PREFECT = tuple(
    f"tests/flows/test_{name}.py" for name in ("flows", "maintain", "serve", "workers")
)


OTHER_CLOUDS = ("gs_lake", "az_lake", "gcs_server", "azure_server")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: there is hardly any, and looking for it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a cloud's emulator as slow; start with those that take and wait longest."""
    for item in items:
        if isinstance(item, pytest.Function) and _needs_cloud(item):
            item.add_marker(pytest.mark.slow)
    _mark_all_but_samples(items)
    items.sort(key=_rank)


LONG_MODULES = (
    "tests/flows/",
    "tests/integration/test_export_f",
    "tests/property/",
    "tests/faults/",
    "tests/integration/",
    "tests/nights/",
    "tests/web/",
)
"""What takes long begins first, so that no process has much left when the others are done."""


def _rank(item: pytest.Item) -> int:
    found = (n for n, prefix in enumerate(LONG_MODULES) if item.nodeid.startswith(prefix))
    return next(found, len(LONG_MODULES))


def _mark_all_but_samples(items: list[pytest.Item]) -> None:
    """Mark the cases of a family as slow, but for as many as `sample(N)` says, evenly spread."""
    families: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample") and not item.get_closest_marker("slow"):
            families.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for family in families.values():
        marker = family[0].get_closest_marker("sample")
        assert marker
        kept = {len(family) * number // marker.args[0] for number in range(marker.args[0])}
        for number, item in enumerate(family):
            if number not in kept:
                item.add_marker(pytest.mark.slow)


def _needs_cloud(item: pytest.Function) -> bool:
    """Whether a test asks for the storage of Google or Azure, by a fixture or a parameter."""
    chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(name in OTHER_CLOUDS for name in item.fixturenames) or any(
        each in ("gs", "az") for each in chosen if isinstance(each, str)
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module's tests in one process, and those with a Prefect server."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return "prefect" if module in WITH_PREFECT else str(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep chatlake's notes about lakes out of the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATLAKE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _no_secrets_of_others() -> Iterator[None]:
    """Forget what another test let this process read."""
    SECRETS.forget()
    yield
    SECRETS.forget()


@pytest.fixture
def chatlake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Run commands in a folder of their own, with the tests' key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    return CommandLine(capsys)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Serve S3 on loopback, for all tests of this process."""
    from tests.moto_server import s3_server  # moto takes its time to import

    with s3_server() as server:
        yield server


@pytest.fixture
def short_waits() -> Iterator[None]:
    """Let this process wait for 20 ms at most before it asks again, where the wait is not the matter."""
    with waiting_briefly():
        yield


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Point this process and those that it starts at the server."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.requests.clear()
    return s3_server


@pytest.fixture
def s3_lake(s3: S3Server) -> str:
    """Return where a lake may be made, in a separate bucket."""
    bucket = f"test-{uuid.uuid4()}"
    s3.make_bucket(bucket)
    return f"s3://{bucket}/some/lake"


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """Serve Google's storage on loopback, for all tests of this process."""
    from tests.gcs_server import gcs_server

    with gcs_server() as server:
        yield server


@pytest.fixture
def gs_lake(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where a lake may be made, in a separate bucket at Google."""
    for name, value in gcs_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{uuid.uuid4()}"
    gcs_server.make_bucket(bucket)
    return f"gs://{bucket}/some/lake"


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """Serve Azure's blobs on loopback, for all tests of this process."""
    from tests.azure_server import azure_server

    with azure_server() as server:
        yield server


@pytest.fixture
def az_lake(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where a lake may be made, in a separate container at Azure."""
    for name, value in azure_server.environment.items():
        monkeypatch.setenv(name, value)
    container = f"test-{uuid.uuid4()}"
    azure_server.make_container(container)
    return f"az://{container}/some/lake"


@pytest.fixture(params=["s3", "gs", "az"])
def cloud_lake(request: pytest.FixtureRequest) -> str:
    """Return where a lake may be made, in each cloud's storage."""
    return str(request.getfixturevalue(f"{request.param}_lake"))
