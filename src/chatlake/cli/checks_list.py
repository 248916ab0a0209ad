"""What `chatlake doctor` learns about a source from a page of its list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from chatlake.cli.checks import Check, warning
from chatlake.cli.words import moment, shortened
from chatlake.errors import InvalidResponseError
from chatlake.model.counts import count
from chatlake.model.moments import seconds_of
from chatlake.model.pages import Malformed, read_completion_page, read_readable_completions

_UNITS: Final = ((1e17, "nanoseconds"), (1e14, "microseconds"), (1e11, "milliseconds"))
"""From this number on, a time is not in seconds: that would be the year 5138."""
_UNSAFE: Final = frozenset(" /?#%\\\"'<>")
_LONGEST_ID: Final = 200
_SKEW: Final = timedelta(hours=1)


class _Created(msgspec.Struct):
    created: Any = None


@dataclass(frozen=True, slots=True)
class Row:
    """A listed completion: its id, and `created` as it was sent."""

    id: str
    created: Any

    @property
    def seconds(self) -> int | None:
        """`created` as a backup reads it, UTC seconds; None if it is not a usable time."""
        return seconds_of(self.created)


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page as it was sent; `has_more` is None if the source does not say.

    `has_token`: the source pages by its own tokens. `malformed`: rows that cannot be read.
    """

    rows: tuple[Row, ...]
    has_more: bool | None
    has_token: bool = False
    malformed: tuple[Malformed, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids in the order of the list."""
        return [row.id for row in self.rows]


def read_seen_page(body: bytes) -> SeenPage:
    """Read a page as a backup does. InvalidResponseError if a backup cannot read it."""
    try:
        page = read_completion_page(body)
    except InvalidResponseError:
        page = read_readable_completions(body)
    rows = (Row(item.id, _created_as_sent(item.sent.clean)) for item in page.items)
    return SeenPage(tuple(rows), page.has_more, page.next_cursor is not None, page.malformed)


def _created_as_sent(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body, type=_Created).created
    except (msgspec.MsgspecError, RecursionError):
        return None


def page_checks(name: str, page: SeenPage, limit: int) -> Iterator[Check]:
    """Yield a warning for each difference from OpenAI; `limit`: the number of rows requested."""
    yield from _order(name, page)
    yield from _limit(name, page, limit)
    yield from _times(name, page.rows)
    yield from _ids(name, page.ids)
    if page.malformed:
        first = page.malformed[0]
        yield warning(
            f"{name}: rows",
            f"{count(len(page.malformed), 'row')} of the list cannot be read, e.g. {first.why}",
            "A backup reports them and stores the rest.",
        )


def _order(name: str, page: SeenPage) -> Iterator[Check]:
    times = [row.seconds for row in page.rows if row.seconds is not None]
    if len(times) > 1 and times[0] > times[-1]:
        yield warning(
            f"{name}: order",
            "the source ignores order=asc: its list is newest first (descending)",
            "Nothing is lost, but every run lists everything again.",
        )


def _limit(name: str, page: SeenPage, limit: int) -> Iterator[Check]:
    got = len(page.rows) + len(page.malformed)
    if got < limit and page.has_more:
        yield warning(
            f"{name}: limit",
            f"limit={limit} was requested; the source sends {count(got, 'row')} and has more",
            f"Nothing to do: a backup needs {limit // max(1, got)} times as many requests.",
        )
    elif got > limit:
        detail = f"the source ignores limit={limit}: it sends {count(got, 'row')} in a page"
        yield warning(f"{name}: limit", detail, "Nothing to do, unless pages are too large.")


def _times(name: str, rows: Sequence[Row]) -> Iterator[Check]:
    check = f"{name}: time"
    latest = (datetime.now(UTC) + _SKEW).timestamp()
    units = Counter(unit for row in rows if (unit := _unit(row)) != "seconds")
    for unit, number in units.items():
        example = next(row for row in rows if _unit(row) == unit)
        what = (
            f"`created` is in {unit}, not in seconds" if unit else "`created` is not a usable time"
        )
        shown = shortened(str(example.created), 40)
        yield warning(
            check,
            f"{what}, in {number} of {count(len(rows), 'completion')}, e.g. {example.id}: {shown}",
            "Nothing to do: chatlake turns it into a time, and `raw` keeps the original."
            if example.seconds is not None
            else "They are kept, without a created_at.",
        )
    ahead = [row for row in rows if (row.seconds or 0) > latest]
    if ahead:
        has = "has" if len(ahead) == 1 else "have"
        at = moment(datetime.fromtimestamp(ahead[-1].seconds or 0, UTC))
        yield warning(
            check,
            f"{count(len(ahead), 'completion')} {has} a time in the future, e.g. {ahead[-1].id}, "
            f"{at}",
            "Check the clocks of this machine and of the source.",
        )


def _unit(row: Row) -> str:
    """Return what `created` counts; empty if it is not a usable time."""
    if row.seconds is None:
        return ""
    if isinstance(row.created, str):
        return "a text"
    return next((unit for least, unit in _UNITS if row.created >= least), "seconds")


def _ids(name: str, ids: Sequence[str]) -> Iterator[Check]:
    check = f"{name}: ids"
    doubled = [completion_id for completion_id, number in Counter(ids).items() if number > 1]
    if doubled:
        appear = "appears" if len(doubled) == 1 else "appear"
        detail = f"{count(len(doubled), 'id')} {appear} twice on one page, e.g. {doubled[0]}"
        yield warning(check, detail, "Ask the server's operator: each completion needs its own id.")
    odd = [completion_id for completion_id in ids if _is_odd(completion_id)]
    if odd:
        detail = f"{count(len(odd), 'id')} on the page may not fit into an address, e.g. "
        yield warning(
            check,
            detail + ascii(shortened(odd[0], 60)),
            "chatlake percent-encodes them. If the server refuses one, the backup reports it as a "
            "failure.",
        )


def _is_odd(completion_id: str) -> bool:
    return (
        len(completion_id) > _LONGEST_ID
        or completion_id in {".", ".."}
        or not completion_id.isprintable()
        or not completion_id.isascii()
        or not _UNSAFE.isdisjoint(completion_id)
    )


def probe_position(page: SeenPage) -> int | None:
    """Return the row to continue from: one whose next row shares its second, else the first.

    None if the page is too short to show anything, if a row cannot be read, or if the source has
    its own cursors. A server that pages by time leaves out the rows of the same second.
    """
    rows = page.rows
    if page.has_token or page.malformed:
        return None
    twins = (i for i in range(len(rows) - 1) if rows[i].created == rows[i + 1].created is not None)
    return next(twins, 0 if len(rows) > 1 else None)


def cursor_checks(name: str, page: SeenPage, position: int, after: SeenPage) -> Iterator[Check]:
    """Compare the page with what the source answers after the row at `position` of it."""
    check, cursor, expected = f"{name}: cursor", page.rows[position], page.rows[position + 1]
    got = after.ids
    if got[:1] == [expected.id]:
        return
    if expected.id not in got and got and cursor.id not in got:
        same = cursor.created == expected.created
        detail = (
            f"the list pages by time: after {cursor.id} it leaves out {expected.id}"
            + (", which was created in the same second" if same else "")
        )  # fmt: skip
        remedy = (
            "A backup continues from an earlier second. If one second fills a page, the backup "
            "says so."
        )
    elif not got:
        detail = f"after {cursor.id} the list is empty, though {expected.id} comes next"
        remedy = "Ask the server's operator: `after` must name a completion to continue from."
    else:
        detail = f"the list ignores `after`: after {cursor.id} it begins with {got[0]}"
        remedy = "Only what fits on one page can be backed up from this server."
    yield warning(check, detail, remedy)
