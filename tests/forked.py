"""Processes that write to a lake, forked from one that has imported everything.

So they start at once. Each has its own number, lock and connections, like any new process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess

from chatlake import failpoints
from chatlake.storage.bucket import s3  # noqa: F401 - imported before the fork
from tests import lake_writer

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])
_LONGEST_S = 60.0


@contextmanager
def writer(
    *words: str, environment: Mapping[str, str] = os.environ, failpoint: str = ""
) -> Iterator[ForkServerProcess]:
    """Run `tests.lake_writer` with these words beside the block, at whose end it is over."""
    process = _CONTEXT.Process(target=_run, args=(words, failpoint, dict(environment)))
    process.start()
    try:
        yield process
        process.join(_LONGEST_S)
    finally:
        process.kill()
        process.join(_LONGEST_S)


def killed(*words: str, at: str, environment: Mapping[str, str]) -> None:
    """Run it until it is killed at a fail-point."""
    with writer(*words, environment=environment, failpoint=f"{at}:kill") as process:
        process.join(_LONGEST_S)
        assert process.exitcode == -signal.SIGKILL, f"{at} was not reached: {process.exitcode}"


def _run(words: tuple[str, ...], failpoint: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    if failpoint:
        failpoints.arm_from(failpoint)
    lake_writer.run(*words)
