"""A run whose output is no longer read continues, and its threads live."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from chatlake.bootstrap.loop import LoopThread
from prefect.logging.configuration import setup_logging
from chatlake.flows.defaults import hear_engine

setup_logging()

hear_engine()
hear_engine()
logger = logging.getLogger("chatlake.flows")
logger.info("before")
sys.stdin.read()

async def work():
    for number in range(3):
        logger.info("a line that nobody reads")
    return "worked"

loop = LoopThread()
print(loop.run(work()), flush=True)
loop.close()
"""


@pytest.mark.slow
def test_a_log_that_nobody_reads_ends_no_thread() -> None:
    """The pipe of standard error breaks: the event loop that logs does its work to the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        process.stderr.close()
        process.stdin.close()
        answer = process.stdout.read()
    finally:
        process.stdout.close()
        process.kill()
        process.wait()

    assert "before" in first
    assert answer == "worked\n"
