"""The program `chatlake`, and `python -m chatlake`."""

import gc
import os
import sys

from chatlake import signals


def run() -> int:
    """Run the command line of this process and return its exit code.

    A signal that comes while that is still being imported finds nothing to put away: the process
    ends at once, with the code that it would have later, and without a traceback.
    """
    signals.end_at_once()
    _open_closed_streams()
    gc.set_threshold(50_000)  # imports make many objects that stay: they are no garbage
    from chatlake.cli import main, streams  # noqa: PLC0415 - not before signals are handled

    streams.watch()
    signals.raise_in_command()
    try:
        code = main()
    finally:
        streams.settle()
    signals.end_at_once()  # all is put away: nothing may be raised while the interpreter ends
    return code


def _open_closed_streams() -> None:
    """Open what the caller has closed (`2>&-`): else the next file has its number.

    What is written for people would then go into that file. Standard output is opened to read,
    so that writing to it still fails; a lost standard error is not reported.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, flags), True)


if __name__ == "__main__":
    sys.exit(run())
