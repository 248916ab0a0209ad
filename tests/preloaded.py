"""Commands that begin at once: processes forked from one that has imported what they need.

A command takes most of a second to import its libraries, and the tests start hundreds. Here a
server imports them once. `tests/preloaded_client.py` takes the place of `python -m chatlake`: it
passes its words, folder, environment and open files to the server, which forks a process that has
exactly these, and ends as that process does. A signal that the client gets is passed on, and when
the client is killed, so is the process.

The process number is not that of the client, and nothing is imported: a test of locks, or of what
happens while a command starts, takes `python -m chatlake` itself.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import functools
import gc
import importlib
import io
import marshal
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

_CLIENT = Path(__file__).with_name("preloaded_client.py")
_NOT_IMPORTED = ("chatlake.__main__", "chatlake.flows", "chatlake.storage.bucket")
_MOST_FILES = 64
_OUT_OF_THE_WAY = 200  # the numbers that a request's files have until they get their own


def command() -> list[str]:
    """Return what to start instead of `python -m chatlake`, before its words."""
    # -S, -E and -s: nothing but the interpreter, which starts in 15 ms.
    return [sys.executable, "-S", "-E", "-s", str(_CLIENT), _server()]


@functools.cache
def _server() -> str:
    """Start a server that ends with this process; return the path of its socket."""
    folder = tempfile.TemporaryDirectory(prefix="chatlake-")
    path = str(Path(folder.name) / "socket")
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.preloaded", path],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"ready\n", "the server does not start"

    def stop() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(stop)
    return path


def _serve(path: str) -> NoReturn:
    """Fork a process for each request until standard input ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # minders leave nothing behind
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # a collection in a child would copy all pages
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _mind(connection)
        connection.close()


def _mind(connection: socket.socket) -> NoReturn:
    """Run one request in a child of this process, pass signals on, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    request, files = _received(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request, files)
    for number in files.values():
        os.close(number)
    ended = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            connection.sendall(os.waitpid(child, 0)[1].to_bytes(4, "big"))
            os._exit(0)
        told = connection.recv(1)
        os.kill(child, told[0] if told else signal.SIGKILL)
        if not told:
            os._exit(0)


def _received(connection: socket.socket) -> tuple[dict[str, Any], dict[int, int]]:
    """Return a request, and by the number that each file is to have the one that it has."""
    numbers = array.array("i")
    data, extra, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(_MOST_FILES * numbers.itemsize))
    for _, _, passed in extra:
        numbers.frombytes(passed)
    length = int.from_bytes(data, "big")
    request = marshal.loads(connection.recv(length, socket.MSG_WAITALL))
    return request, dict(zip(request["files"], numbers, strict=True))


def _become(request: dict[str, Any], files: dict[int, int]) -> NoReturn:
    """Make this process what `python -m chatlake` would be there, run it, and end."""
    kept = {
        number: fcntl.fcntl(file, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for number, file in files.items()
    }
    os.closerange(0, _OUT_OF_THE_WAY)
    for number, file in kept.items():
        os.dup2(file, number)
    os.closerange(_OUT_OF_THE_WAY, 2 * _OUT_OF_THE_WAY)
    os.chdir(request["folder"])
    for name in os.environ.keys() - request["environment"].keys():
        del os.environ[name]
    os.environ.update(request["environment"])
    time.tzset()
    for name in request["ignored"]:
        signal.signal(name, signal.SIG_IGN)
    sys.stdin = _stream(0, "r")  # type: ignore[assignment]
    sys.stdout = _stream(1, "w")  # type: ignore[assignment]
    sys.stderr = _stream(2, "w")  # type: ignore[assignment]

    from chatlake import __main__ as program
    from chatlake import failpoints

    if failpoints.VARIABLE in os.environ:
        failpoints.arm_from(os.environ[failpoints.VARIABLE])
    sys.argv = [str(program.__file__), *request["words"]]
    code = program.run()
    # All that ends with a process, but without a walk through a hundred thousand objects that
    # takes longer than most commands.
    atexit._run_exitfuncs()
    os._exit(code)


def _stream(number: int, mode: str) -> io.TextIOBase | None:
    """Open a standard stream as the interpreter does when it starts; None where it is closed."""
    try:
        each_line = number == 2 or os.isatty(number)
        return open(
            number,
            mode,
            encoding="utf-8",
            errors="backslashreplace" if number == 2 else "strict",
            closefd=False,
            buffering=1 if each_line and mode == "w" else -1,
        )
    except OSError:
        return None


def _import_all() -> None:
    """Import what commands import while they run: all but what needs Prefect or another cloud."""
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import chatlake

    for module in pkgutil.walk_packages(chatlake.__path__, "chatlake."):
        if not module.name.startswith(_NOT_IMPORTED):
            importlib.import_module(module.name)
    assert "prefect" not in sys.modules


if __name__ == "__main__":
    _import_all()
    _serve(sys.argv[1])
