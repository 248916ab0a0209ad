"""The output of `chatlake verify --against-api`: the lake and its sources compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console

from chatlake.cli.output import paint, printable, say
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.errors import ChatlakeError, GapsError, LakeDamagedError
from chatlake.model.counts import count
from chatlake.verify.differences import Comparison
from chatlake.verify.source import Progress

_SHOWN: Final = 10
_KINDS: Final = (
    ("missing", "red", "listed, but not in the lake"),
    ("incomplete", "yellow", "in the lake without all their messages"),
    ("changed", "yellow", "changed at the source since they were stored"),
    ("unfetched", "yellow", "could not be fetched from the source"),
    ("different", "red", "stored differently from what the source sends"),
    ("extra", "dim", "in the lake, but no longer listed by the source"),
    ("kept", "dim", "kept with messages that the source no longer has"),
    ("unknown", "yellow", "selected by id, but neither in the lake nor at the source"),
    ("newer", "dim", "created since the last backup"),
)


@contextmanager
def source_shown(*, spinner: bool) -> Iterator[Progress]:
    """Give a function that shows the progress of the comparison.

    Without a `spinner`, with `--quiet` and in JSON logs, nothing is shown.
    """
    if not spinner or STANDARD_ERROR.is_quiet or STANDARD_ERROR.as_json:
        yield lambda *_: None
        return
    console = Console(stderr=True, highlight=False)
    with console.status("listing the source") as status:

        def show(source: str, listed: int, sampled: int) -> None:
            fetched = f", {sampled:,} fetched again" if sampled else ""
            status.update(f"{source}: {listed:,} listed{fetched}")

        yield show


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Write one line for each source, and the ids of what differs."""
    for each in comparisons:
        agree = f"{count(each.agreeing)} of {count(each.listed, 'listed completion')} agree"
        expired = f", {count(each.expired)} have expired there" if each.expired else ""
        sample = f"{count(len(each.sampled))} fetched again (seed {each.seed})"
        say(f"{each.source}: {agree}{expired}; {sample}")
        for name, style, meaning in _KINDS:
            _show_ids(getattr(each, name), style, meaning)
        if each.unlisted:
            rows = count(each.unlisted, "place")
            say(f"  {paint(rows, 'yellow')} of the list cannot be read")


def _show_ids(ids: Sequence[str], style: str, meaning: str) -> None:
    if ids:
        shown = ", ".join(printable(each) for each in ids[:_SHOWN])
        more = f" … and {count(len(ids) - _SHOWN)} more (--json names all)" if ids[_SHOWN:] else ""
        say(f"  {paint(count(len(ids)), style)} {meaning}: {shown}{more}")


def comparison_documents(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the comparisons as JSON values, with all ids."""
    return [asdict(each) for each in comparisons]


def error_of(comparisons: Sequence[Comparison]) -> ChatlakeError | None:
    """Return the error for the exit code: damage, gaps, or none."""
    different = sum(len(each.different) for each in comparisons)
    if different:
        return LakeDamagedError(
            f"{count(different, 'completion')} in the lake "
            f"{'differs' if different == 1 else 'differ'} from what the source sends",
            hint="Compare them with `chatlake show ID`; `chatlake verify` finds damaged files. "
            "`chatlake backup --ids-file FILE` fetches them again.",
        )
    gaps = [each.source for each in comparisons if each.has_gaps]
    if gaps:
        return GapsError(f"{', '.join(gaps)}: the source has completions that the lake lacks")
    return None
