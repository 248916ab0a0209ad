"""A process that ends even if one that it started was killed in the middle of a message."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """if True:
    import multiprocessing, sys, threading, time
    from chatlake.flows.leaving import bound_the_end, ends_with

    def write(queue):
        queue.put(b"x" * (1 << 22))  # more than a pipe holds: it is written while nobody reads
        time.sleep(60)

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=write, args=(queue,))
    process.start()
    while queue.empty():
        time.sleep(0.01)
    process.kill()
    process.join()
    queue.put("more")  # waits for the lock that the dead process has
    def late():
        time.sleep(1.5)
        print("all is stored")

    threading.Thread(target=late).start()
    if sys.argv[1] == "bounded":
        bound_the_end(0.5)
        bound_the_end(0.5)
    sys.exit(ends_with(3))
"""


def started(how: str) -> subprocess.Popen[str]:
    """Start the program, and wait until everything is stored."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "all is stored\n"
    return process


def test_it_ends_with_its_exit_code_and_all_it_wrote() -> None:
    """Nothing is lost: a thread that works on ends first, and the code is that of the run."""
    with started("bounded") as process:
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 3


@pytest.mark.slow
def test_without_a_bound_it_would_wait_forever() -> None:
    """So there is something to bound: nothing is left to do, and it does not end."""
    with started("not bounded") as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
        finally:
            process.kill()
