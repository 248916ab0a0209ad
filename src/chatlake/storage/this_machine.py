"""Which machine and process this is, so that a lock of a dead one is recognised.

This works only on Linux. There a process is identified by the boot of its machine, its namespace (a
container has its own process numbers), its number and its start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_PROC = Path("/proc")


def machine_id() -> str:
    """Return a name of this boot of this machine and its namespace of processes; "" if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:16]


def process_start(pid: int) -> str:
    """Return when process `pid` of this machine started, in ticks since the boot; "" if it is dead.

    A number may be given to another process later; its start tells them apart.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    # The program's name is in parentheses, and may contain anything.
    fields = text.rpartition(")")[2].split()
    state, start = fields[0], fields[19]
    return "" if state in "ZX" else start
