"""The lines on standard error: when they come (`--quiet`), and in which form (`--log-format`).

With `--quiet` a command that succeeds says nothing, and one that fails says everything: the lines
for both streams wait until the end shows which it was. Warnings do not wait.

With `--log-format json` each line on standard error is one JSON object, for whatever collects logs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chatlake.model.outside_text import strike_out
from chatlake.model.terminal_text import printable_lines


@dataclass(slots=True)
class StandardError:
    """How the present command line writes.

    `as_json`: each line on standard error is JSON. `is_quiet`: lines wait until the end. `held`:
    the waiting lines, each as (stream, text).
    """

    as_json: bool = False
    is_quiet: bool = False
    held: list[tuple[str, str]] = field(default_factory=list)

    def begin(self) -> None:
        """Begin another command line: until it says otherwise, it writes text, at once."""
        self.as_json = self.is_quiet = False
        self.held.clear()

    def write(self, stream: str, text: str) -> None:
        """Write a line to `stdout` or `stderr`, now or at the end."""
        if self.is_quiet:
            self.held.append((stream, text))
        else:
            _write(stream, text)

    def write_out(self) -> None:
        """Write the waiting lines, and later ones at once: the command fails, or asks."""
        self.is_quiet = False
        held, self.held = self.held, []
        for stream, text in held:
            _write(stream, text)

    def end(self, code: int) -> None:
        """End a command line: one that succeeded has nothing more to say."""
        if code:
            self.write_out()
        self.is_quiet = False
        self.held.clear()


STANDARD_ERROR = StandardError()
"""The only one in this process."""


def json_line(level: str, message: str, *, at: float | None = None, **more: Any) -> str:
    """Return a line as JSON: time, level, message, and what is given and not empty.

    Secrets are struck out; everything but ASCII is escaped, so it is one line anywhere.
    """
    moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    document = {
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": level,
        "message": strike_out(message),
        **{name: strike_out(value) for name, value in more.items() if value},
    }
    return json.dumps(document)


def _write(stream: str, text: str) -> None:
    if stream == "stdout":
        print(printable_lines(text))
    else:
        print(printable_lines(text), file=sys.stderr, flush=True)
