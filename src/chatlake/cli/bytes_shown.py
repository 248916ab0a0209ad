"""How far a command has read the lake's files: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from chatlake.cli.stderr_lines import STANDARD_ERROR


@contextmanager
def bytes_shown(
    before: str, meanwhile: str, *, bar: bool
) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that shows the bytes read so far and in total.

    It is None without a `bar`, with `--quiet` and in JSON logs. `before`, `meanwhile`: labels
    before and after its first call.
    """
    if not bar or STANDARD_ERROR.is_quiet or STANDARD_ERROR.as_json:
        yield None
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    task = progress.add_task(before, total=None)

    def show(read: int, to_read: int) -> None:
        progress.update(task, description=meanwhile, completed=read, total=to_read)

    with progress:
        yield show
