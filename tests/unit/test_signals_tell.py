"""How a busy library learns of a signal, and what happens if it does not react."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from chatlake import signals

_DEAF = """
import sys, threading
from chatlake import signals

signals._GRACE_S = 0.3
signals.raise_in_command()
with signals.telling_of_stops(threading.Event().wait):
    print("inside", flush=True)
    while True:
        try:
            threading.Event().wait()
        except (KeyboardInterrupt, SystemExit):
            pass
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_library_that_does_not_stop_ends_with_the_process(number: int, code: int) -> None:
    """Where telling blocks and the block never ends, the process does, with the signal's code."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DEAF], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "inside\n"
        process.send_signal(number)
        assert process.wait(30) == code


def test_a_block_that_ends_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    """One notice ends the block, and no alarm follows."""
    monkeypatch.setattr(signals, "_GRACE_S", 0.2)
    told = threading.Event()
    with signals.interruptible(), signals.telling_of_stops(told.set):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert told.wait(10)

    time.sleep(0.4)  # longer than the alarm would have taken
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
