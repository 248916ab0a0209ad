"""The error of many tasks at once: the first of them, by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_error() -> Iterator[None]:
    """Raise the first error of a task group without the group: its class decides the exit code.

    Later errors are mostly consequences of the first. This does not use `except*`: before Python
    3.11.4, what is raised there comes out in a group again.
    """
    try:
        yield
    except ExceptionGroup as group:
        raise _first(group) from None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
