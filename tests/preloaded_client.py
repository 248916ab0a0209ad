"""The client of `tests/preloaded.py`: `python preloaded_client.py SOCKET WORDS…`."""

import os

# First of all, before anything is opened here: what the caller has opened, also instead of
# standard streams that it closed. The last one is the folder itself.
files = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
files = [number for number in files if os.path.exists(f"/proc/self/fd/{number}")]  # noqa: PTH110

import array  # noqa: E402
import marshal  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

ours = socket.socket(socket.AF_UNIX)
ours.connect(sys.argv[1])
signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ignored = [int(number) for number in signals if signal.getsignal(number) is signal.SIG_IGN]
for number in {*signals} - {*ignored}:
    signal.signal(number, lambda number, _frame: ours.sendall(bytes([number])))
request = {
    "words": sys.argv[2:],
    "folder": os.getcwd(),  # noqa: PTH109
    "environment": dict(os.environ),
    "files": files,
    "ignored": ignored,
}
data = marshal.dumps(request)
passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
ours.sendmsg([len(data).to_bytes(4, "big")], passed if files else [])
ours.sendall(data)
code = os.waitstatus_to_exitcode(int.from_bytes(ours.recv(4), "big"))
if code < 0:
    if -code in signals:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
