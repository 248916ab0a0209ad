"""The program `chatlake`, and `python -m chatlake`."""

import gc
import os
import sys

from chatlake import signals

_ALLOCATIONS = 150_000
"""Allocations before the garbage collector runs, more than the imports make.

Nearly all of their objects live on, and looking for garbage among them takes 20 ms.
"""


def run() -> int:
    """Run the command line of this process and return its exit code.

    If a signal arrives during the imports, there is nothing to clean up yet: the process ends at
    once, with the usual exit code and without a traceback.
    """
    signals.end_at_once()
    _open_closed_streams()
    gc.set_threshold(_ALLOCATIONS)
    from chatlake.cli import main, streams  # noqa: PLC0415 - not before signals are handled

    streams.watch()
    signals.raise_in_command()
    try:
        code = main()
    finally:
        streams.settle()
    signals.end_at_once()  # nothing may be raised while the interpreter shuts down
    return code


def _open_closed_streams() -> None:
    """Open the standard streams that the caller has closed (`2>&-`).

    Otherwise the next opened file gets the free number, and messages for people are written into
    that file. Standard output is opened for reading, so that writing to it still fails. Standard
    error is opened for writing, so what is written there is lost without an error.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # `open` gives the lowest free number, and all lower ones are open: so it is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)


if __name__ == "__main__":
    sys.exit(run())
