"""A proxy that cannot reach this machine: everything that chatlake starts on loopback works on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chatlake.bootstrap.loopback import LOOPBACK, exempt_loopback
from tests.loopback_server import Handler, listening

pytestmark = pytest.mark.slow

DEAD = "http://127.0.0.1:9"  # the port "discard": nobody listens there
UPPER = {"HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD}
LOWER = {"http_proxy": DEAD, "https_proxy": DEAD}
ALL = {"ALL_PROXY": DEAD, "all_proxy": DEAD}
PROXIES = [
    pytest.param(UPPER, id="upper"),
    pytest.param(LOWER, id="lower"),
    pytest.param({**UPPER, **LOWER, **ALL}, id="all"),
    pytest.param({**LOWER, "no_proxy": "example.com"}, id="with-exceptions"),
]


def without_proxies() -> dict[str, str]:
    """Return this process's environment without any word on proxies or Prefect."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith("PREFECT_")
    }


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, ",".join(LOOPBACK)),
        ({"NO_PROXY": "example.com"}, "example.com,localhost,127.0.0.1,::1"),
        ({"no_proxy": "b.com, a.com"}, "b.com,a.com,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a.com", "no_proxy": "b.com"}, "a.com,b.com,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "127.0.0.1,"}, "127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
        ({"NO_PROXY": "a.com,*"}, "*"),
    ],
)
def test_loopback_is_added_to_what_the_user_exempts(before: dict[str, str], expected: str) -> None:
    """Both spellings say the same afterwards, whichever a program reads; twice changes nothing."""
    environment = dict(before)

    exempt_loopback(environment)
    exempt_loopback(environment)

    assert environment == {"NO_PROXY": expected, "no_proxy": expected}


@contextmanager
def healthy(status: int = 200) -> Iterator[str]:
    """Answer as a Prefect server's API would; yields its address."""

    class Health(Handler):
        def reply(self) -> None:
            self.respond(status if self.path == "/api/health" else 404)

    with listening(Health) as port:
        yield f"http://127.0.0.1:{port}/api"


def health(url: str, **variables: str) -> int:
    """Return the exit code of the container's health check."""
    return subprocess.run(
        [sys.executable, "-m", "chatlake.flows.health"],
        env={**without_proxies(), **variables, "PREFECT_API_URL": url},
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


@pytest.mark.parametrize("proxies", PROXIES)
def test_the_health_check_reaches_loopback(proxies: dict[str, str]) -> None:
    """A container behind a proxy is healthy while its Prefect server answers, and only then."""
    with healthy() as url:
        assert health(url, **proxies) == 0
        assert health(url + "/", **proxies) == 0
    assert health(url, **proxies) == 1
    with healthy(503) as url:
        assert health(url, **proxies) == 1
