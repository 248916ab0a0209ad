"""Any list, cut into pages in any way, is read once and to its end."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chatlake.errors import InvalidResponseError
from chatlake.model.pages import Page
from chatlake.model.paging import Pager, StrandedError

LIMIT = 5


@dataclass(frozen=True)
class Item:
    """An item of a list."""

    id: str


@dataclass(frozen=True)
class Cut:
    """A list of `count` items, cut into pages; `overlaps`: how far each page goes back."""

    count: int
    sizes: list[int]
    overlaps: list[int]

    def page_after(self, cursor: str | None, number: int) -> tuple[Item, ...]:
        """Answer like a server: the items behind the cursor, and some before it."""
        begin = 0 if cursor is None else int(cursor) + 1
        size = self.sizes[number % len(self.sizes)]
        overlap = self.overlaps[number % len(self.overlaps)] if number else 0
        items = range(max(0, begin - overlap), min(self.count, begin + size))
        return tuple(Item(str(n)) for n in items)


cuts = st.builds(
    Cut,
    count=st.integers(0, 60),
    sizes=st.lists(st.integers(1, LIMIT), min_size=1, max_size=8),
    overlaps=st.lists(st.integers(0, 12), min_size=1, max_size=8),
)


def read(cut: Cut, *, says_more: bool) -> list[str]:
    """Read the list as the backup does; without `says_more` the server is silent on it."""
    pager, found, number = Pager[Item](limit=LIMIT), list[str](), 0
    while not pager.done:
        assert number <= 2 * cut.count + 4
        items = cut.page_after(pager.cursor, number)
        ends = not items or int(items[-1].id) == cut.count - 1
        page = Page(items, has_more=not ends if says_more else None)
        found += [item.id for item in pager.feed(page)]
        number += 1
    return found


@given(cuts)
def test_every_item_is_read_once_and_in_order(cut: Cut) -> None:
    """Whatever the sizes of the pages, and however far they overlap."""
    assert read(cut, says_more=True) == [str(n) for n in range(cut.count)]


@given(cuts)
def test_a_server_that_never_says_has_more_is_read_to_its_end(cut: Cut) -> None:
    """As long as a page behind the last item is empty."""
    plain = Cut(cut.count, cut.sizes, [0])
    assert read(plain, says_more=False) == [str(n) for n in range(cut.count)]


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcdef")), st.sampled_from([True, None]))))
def test_a_confused_server_never_makes_it_go_on_for_ever(
    pages: list[tuple[list[str], bool | None]],
) -> None:
    """Each page moves on to a new cursor, ends the list, or is refused without a trace."""
    pager, cursors = Pager[Item](limit=2), set[str | None]()
    for ids, has_more in pages:
        if pager.done:
            break
        before = pager.cursor, pager.done
        try:
            fresh = pager.feed(Page(tuple(map(Item, ids)), has_more))
        except (InvalidResponseError, StrandedError):
            assert (pager.cursor, pager.done) == before
            continue
        assert {item.id for item in fresh} <= set(ids)
        assert pager.done or pager.cursor not in cursors
        cursors.add(pager.cursor)
