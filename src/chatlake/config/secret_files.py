"""Secrets in files, as Docker, Kubernetes and systemd hand them to a program."""

from __future__ import annotations

import os
import stat
from typing import Final

LARGEST_BYTES: Final = 64 << 10


def secret_in_file(path: str) -> str:
    """Return the current text of a file that contains only a secret.

    Links are followed: Kubernetes changes a secret by pointing one elsewhere. Raises ValueError,
    which never contains any of the content, for a file that is missing, unreadable, not a regular
    file (reading a pipe could block forever), larger than 64 KiB, or not text.
    """
    path = os.path.expanduser(path)  # noqa: PTH111  an unknown ~user stays as it is
    if not os.path.isabs(path):  # noqa: PTH117
        raise ValueError("expected a path from the root, such as file:/run/secrets/key")
    try:
        # Without O_NONBLOCK, opening a pipe would block before it is recognised as one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
                raise ValueError(f"expected a file, this is {what}")
            content = os.read(descriptor, LARGEST_BYTES + 1)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError("there is no such file") from None
    except OSError as problem:
        raise ValueError(f"the file cannot be read: {problem.strerror or 'an error'}") from None
    if len(content) > LARGEST_BYTES:
        raise ValueError("the file is larger than 64 KiB, too large for a secret")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise ValueError("the file contains no text")
