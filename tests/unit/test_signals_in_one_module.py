"""Handlers and masks of signals are set in one module, where their order can be seen."""

from __future__ import annotations

import ast
import inspect
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatlake

PACKAGE = Path(chatlake.__file__).parent
TOOLS = {name for name, _ in inspect.getmembers(signal, inspect.isroutine)}
"""All that sets, asks for or waits for a signal; the numbers themselves are free to use."""
OF_A_LOOP = {"add_signal_handler", "remove_signal_handler"}


def uses(source: str) -> Iterator[str]:
    """Yield the functions of `signal`, and of an event loop for signals, that a module names."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "signal"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "signal" and node.level == 0:
            yield from (alias.name for alias in node.names if alias.name in TOOLS | {"*"})
        elif isinstance(node, ast.Attribute):
            of_module = isinstance(node.value, ast.Name) and node.value.id in names
            if (of_module and node.attr in TOOLS) or node.attr in OF_A_LOOP:
                yield node.attr


def test_no_other_module_handles_signals() -> None:
    """Only chatlake/signals.py names a function of the module `signal`."""
    found = {
        str(path.relative_to(PACKAGE)): sorted(set(used))
        for path in PACKAGE.rglob("*.py")
        if (used := list(uses(path.read_text(encoding="utf-8"))))
    }
    assert list(found) == ["signals.py"], found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import signal\nsignal.signal(2, f)", ["signal"]),
        ("def f():\n    import signal as s\n    s.setitimer(s.ITIMER_REAL, 1)", ["setitimer"]),
        ("from signal import raise_signal as again", ["raise_signal"]),
        ("loop.add_signal_handler(2, f)", ["add_signal_handler"]),
        ("import signal\nos.kill(1, signal.SIGKILL)", []),
        ("from chatlake import signals\nsignals.end_at_once()", []),
    ],
)
def test_every_way_to_name_a_function_counts(source: str, expected: list[str]) -> None:
    """However `signal` is imported; a signal's number alone is not a handler."""
    assert list(uses(source)) == expected
