"""The pager: every item once, and never a silent end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from chatlake.errors import InvalidResponseError
from chatlake.model.objects import Page
from chatlake.model.paging import Pager


@dataclass(frozen=True)
class Item:
    """Something with an id; `text` tells items of one id apart."""

    id: str
    text: str = ""


def page(ids: str, has_more: bool | None = True) -> Page[Item]:
    """Return a page of one-letter ids."""
    return Page(tuple(map(Item, ids)), has_more)


def fed(pager: Pager, *pages: Page[Item]) -> list[str]:
    """Feed pages; return what each gave."""
    return ["".join(item.id for item in pager.feed(each)) for each in pages]


def state(pager: Pager) -> tuple[str | None, bool]:
    """Return what the caller sees."""
    return pager.cursor, pager.done


def test_pages_are_followed_by_their_last_id() -> None:
    """The next cursor is the id of the last item, until the server says that was all."""
    pager = Pager()
    assert state(pager) == (None, False)
    assert fed(pager, page("ab")) == ["ab"]
    assert state(pager) == ("b", False)
    assert fed(pager, page("c", has_more=False)) == ["c"]
    assert state(pager) == ("c", True)


@pytest.mark.parametrize("has_more", [False, None])
def test_an_empty_page_is_the_end_where_nothing_more_is_claimed(has_more: bool | None) -> None:
    """An empty list, and a list whose last page was full, end so."""
    pager = Pager()
    assert fed(pager, page("ab"), page("", has_more)) == ["ab", ""]
    assert state(pager) == ("b", True)


def test_an_empty_page_that_claims_more_is_an_error() -> None:
    """The list is not taken to end there; the page may be asked for again."""
    pager = Pager()
    fed(pager, page("ab"))
    with pytest.raises(InvalidResponseError, match="empty page"):
        pager.feed(page(""))
    assert state(pager) == ("b", False)
    assert fed(pager, page("c", has_more=False)) == ["c"]


@pytest.mark.parametrize("repeated", ["ab", "cb", "b"])
def test_a_repeated_cursor_is_an_error(repeated: str) -> None:
    """A server that goes round in circles would never end; nothing of the state has changed."""
    pager = Pager()
    fed(pager, page("ab"))
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page(repeated))
    assert state(pager) == ("b", False)
    assert fed(pager, page("cd", has_more=False)) == ["cd"]


def test_a_cursor_of_long_ago_is_an_error_too() -> None:
    """A circle over many pages is one all the same."""
    pager = Pager()
    fed(pager, page("ab"), page("cd"), page("ef"))
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page("ab"))


def test_the_start_is_a_cursor_as_well() -> None:
    """A server that answers the item asked to start after, and claims more, does not move on."""
    pager = Pager("b")
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page("ab"))
    assert state(pager) == ("b", False)


def test_overlapping_pages_give_each_item_once() -> None:
    """Items of pages before are dropped, also of a page further back."""
    pager = Pager()
    assert fed(pager, page("abc"), page("bcd"), page("abcde", has_more=False)) == ["abc", "d", "e"]
    assert pager.done


def test_a_last_page_sent_again_is_the_end() -> None:
    """Nothing new and nothing more claimed: nothing can be missing."""
    pager = Pager()
    assert fed(pager, page("ab"), page("ab", has_more=False)) == ["ab", ""]
    assert pager.done


def test_a_full_page_is_not_believed_to_be_the_last() -> None:
    """A gateway that loses has_more, or says false, must not end the list at its first page."""
    pager = Pager(limit=2)
    assert fed(pager, page("ab", has_more=False)) == ["ab"]
    assert (pager.done, pager.cursor) == (False, "b")
    assert fed(pager, page("cd", has_more=False), page("e", has_more=False)) == ["cd", "e"]
    assert pager.done


@pytest.mark.parametrize("again", ["", "ab"], ids=["empty", "the same"])
def test_a_full_page_is_the_last_where_nothing_comes_after_it(again: str) -> None:
    """Asked for what follows, the server has nothing, or sends all that it has once more."""
    pager = Pager(limit=2)
    assert fed(pager, page("ab", has_more=False), page(again, has_more=False)) == ["ab", ""]
    assert pager.done


def test_without_has_more_only_an_empty_page_is_the_end() -> None:
    """A server may send fewer than were asked for; that alone is no end."""
    pager = Pager(limit=3)
    assert fed(pager, page("abc", None), page("d", None)) == ["abc", "d"]
    assert not pager.done
    assert fed(pager, page("", None)) == [""]
    assert pager.done


def test_without_has_more_a_short_page_sent_again_is_the_end() -> None:
    """Such a server does not page at all: what it sent is all that it has."""
    pager = Pager(limit=3)
    assert fed(pager, page("ab", None), page("ab", None)) == ["ab", ""]
    assert pager.done


def test_without_has_more_a_full_page_sent_again_is_an_error() -> None:
    """It may be the first of many, from a server that ignores the cursor."""
    pager = Pager(limit=2)
    fed(pager, page("ab", None))
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page("ab", None))


def test_an_item_twice_in_a_page_is_given_once() -> None:
    """The same object is not stored twice."""
    assert fed(Pager(), page("aba", has_more=False)) == ["ab"]


def test_different_items_of_one_id_in_a_page_are_all_given() -> None:
    """A server that numbers badly must not make messages vanish; the order stays."""
    items = [Item("a", "1"), Item("b"), Item("a", "2"), Item("a", "1")]
    assert Pager().feed(Page(tuple(items), has_more=False)) == items[:3]


def test_memory_is_bounded() -> None:
    """Of a list of any length only the last thousand ids are remembered."""
    pager = Pager(limit=100)
    for start in range(0, 5000, 100):
        pages: Sequence[Item] = [Item(str(n)) for n in range(start, start + 100)]
        assert len(pager.feed(Page(tuple(pages), has_more=True))) == 100
    assert len(pager._recent) == 1000
