"""The pager: every item once, and never a silent end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from chatlake.errors import InvalidResponseError
from chatlake.model.pages import Malformed, Page
from chatlake.model.paging import Pager, StrandedError


@dataclass(frozen=True)
class Item:
    """Something with an id; `text` tells items of one id apart."""

    id: str
    text: str = ""
    second: int | None = None


def page(ids: str, has_more: bool | None = True, **more: str) -> Page[Item]:
    """Return a page of one-letter ids."""
    return Page(tuple(map(Item, ids)), has_more, **more)


def fed(pager: Pager[Item], *pages: Page[Item]) -> list[str]:
    """Feed pages; return what each gave."""
    return ["".join(item.id for item in pager.feed(each)) for each in pages]


def state(pager: Pager[Item]) -> tuple[str | None, bool]:
    """Return what the caller sees."""
    return pager.cursor, pager.done


def test_a_page_is_asked_on_from_the_item_before_its_last() -> None:
    """The last item must come again, which shows that the cursor is a place in the list."""
    pager = Pager[Item]()
    assert state(pager) == (None, False)
    assert fed(pager, page("abc")) == ["abc"]
    assert state(pager) == ("b", False)
    assert fed(pager, page("cd", has_more=False)) == ["d"]
    assert pager.done


@pytest.mark.parametrize("ids", ["", "ab"])
def test_a_list_of_one_page_is_one_request(ids: str) -> None:
    """An empty list, and one that says that it was all."""
    pager = Pager[Item]()
    assert fed(pager, page(ids, has_more=False)) == [ids]
    assert pager.done


def test_an_empty_list_that_claims_more_is_an_error() -> None:
    """It is not taken to be empty; the page may be asked for again."""
    pager = Pager[Item]()
    with pytest.raises(InvalidResponseError, match="empty page"):
        pager.feed(page(""))
    assert state(pager) == (None, False)
    assert fed(pager, page("c", has_more=False)) == ["c"]


@pytest.mark.parametrize("has_more", [True, False, None])
@pytest.mark.parametrize("start", [None, "a"])
def test_an_empty_page_behind_a_cursor_is_no_end(start: str | None, has_more: bool | None) -> None:
    """An unknown cursor is answered so by some servers: an older one is taken."""
    pager = Pager[Item](start)
    if start is None:
        fed(pager, page("abcdefgh"))
    with pytest.raises(StrandedError):
        pager.feed(page("", has_more))
    assert pager.done is False
    assert not pager.ends_in_a_claim
    assert pager.step_back() is (start is None)


def test_stepping_back_goes_twice_as_far_each_time() -> None:
    """Neighbours are often deleted together; what was seen is dropped when it comes again."""
    pager = Pager[Item]()
    fed(pager, page("abcdefghijklmnop"))
    found = []
    while pager.step_back():
        found.append(pager.cursor)
    assert found == ["n", "l", "h", "a"]
    assert fed(pager, page("bcdefghijklmnopq", has_more=False)) == ["q"]


def test_stepping_back_skips_a_place_that_was_tried() -> None:
    """A cursor that led nowhere before is not requested again."""
    pager = Pager[Item]()
    fed(pager, page("abcd"))
    assert pager.step_back()
    assert state(pager) == ("b", False)
    fed(pager, page("cde"))
    assert pager.step_back()
    assert state(pager) == ("a", False)
    assert not pager.step_back()


def test_the_last_item_can_be_asked_for_again() -> None:
    """`ask_for_known` goes back by one, and the last item is a cursor once more."""
    pager = Pager[Item]()
    assert not pager.ask_for_known()
    assert fed(pager, page("a", has_more=False)) == ["a"]
    assert not pager.ask_for_known()
    fed(pager, page("abc", has_more=False))
    assert pager.ask_once_more()
    assert (*state(pager), pager.overlap) == ("c", False, 0)
    assert pager.ask_for_known()
    assert (*state(pager), pager.overlap) == ("b", False, 1)
    assert fed(pager, page("c")) == [""]
    assert state(pager) == ("c", False)


def test_an_empty_page_behind_the_very_last_item_is_the_end() -> None:
    """Nothing is known to follow it."""
    pager = Pager[Item]()
    fed(pager, page("abc", has_more=False))
    assert pager.ask_once_more()
    assert state(pager) == ("c", False)
    assert fed(pager, page("", has_more=False)) == [""]
    assert pager.done
    assert not pager.ask_once_more()


def test_an_empty_page_that_names_a_cursor_is_followed_once() -> None:
    """A page of rows that a filter hides may stand in the list; two of the same name may not."""
    pager = Pager[Item]()
    fed(pager, page("abc"))
    assert fed(pager, page("", last_id="x")) == [""]
    assert state(pager) == ("x", False)
    with pytest.raises(StrandedError):
        pager.feed(page("", last_id="x"))
    assert fed(pager, page("def", has_more=False)) == ["def"]


def test_an_empty_page_after_a_hidden_one_is_no_end() -> None:
    """The cursor that an empty page named may be unknown, so an older one is tried."""
    pager = Pager[Item](limit=2)
    fed(pager, page("ab", has_more=False), page("", last_id="x"))
    with pytest.raises(StrandedError):
        pager.feed(page("", has_more=False))
    assert state(pager) == ("x", False)


def test_a_page_without_a_readable_row_that_claims_more_is_an_error() -> None:
    """Its rows may be anything, so nothing says where to continue."""
    pager = Pager[Item]("a")
    broken = Page[Item]((), has_more=True, malformed=(Malformed(0, "not an object"),))
    with pytest.raises(InvalidResponseError, match="no row of the page can be read"):
        pager.feed(broken)
    assert state(pager) == ("a", False)


def test_a_claim_of_more_after_the_last_item_is_remembered() -> None:
    """The server said that more follows the very last item, and sent nothing."""
    pager = Pager[Item]()
    fed(pager, page("abc"), page("c"))
    assert state(pager) == ("c", False)
    assert not pager.ends_in_a_claim
    with pytest.raises(StrandedError):
        pager.feed(page(""))
    assert pager.ends_in_a_claim
    assert fed(pager, page("de")) == ["de"]
    assert not pager.ends_in_a_claim


def test_the_request_after_the_last_item_needs_a_cursor_there() -> None:
    """`ask_after_last` names the very last item, or nothing if the server does not know its id."""
    pager = Pager[Item]()
    fed(pager, page("ab"))
    assert pager.ask_after_last()
    assert state(pager) == ("b", False)
    assert pager.ask_after_last()

    nameless = Pager[Item](is_cursor=lambda item: item.id != "b")
    fed(nameless, page("ab"))
    assert not nameless.ask_after_last()
    assert state(nameless) == ("a", False)


def test_a_server_that_goes_round_in_circles_is_an_error() -> None:
    """Nothing new and more claimed: the very last item is tried, then it is refused."""
    pager = Pager[Item]()
    fed(pager, page("abc"), page("abc"))
    assert state(pager) == ("c", False)
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page("abc"))
    assert state(pager) == ("c", False)
    assert fed(pager, page("de", has_more=False)) == ["de"]


def test_overlapping_pages_give_each_item_once() -> None:
    """Items of pages before are dropped, also of a page further back."""
    pager = Pager[Item]()
    assert fed(pager, page("abc"), page("bcd"), page("abcde")) == ["abc", "d", "e"]
    assert fed(pager, page("de", has_more=False)) == [""]
    assert pager.done


def test_the_last_item_again_is_the_end() -> None:
    """Asked for what follows, the server has nothing new."""
    pager = Pager[Item](limit=2)
    assert fed(pager, page("ab", has_more=False), page("b", has_more=False)) == ["ab", ""]
    assert pager.done


def test_a_full_page_is_not_believed_to_be_the_last() -> None:
    """A gateway that loses has_more, or says false, must not end the list at its first page."""
    pager = Pager[Item](limit=3)
    assert fed(pager, page("abc", has_more=False)) == ["abc"]
    assert state(pager) == ("b", False)
    assert fed(pager, page("cde", has_more=False), page("ef", has_more=False)) == ["de", "f"]
    assert pager.done


def test_a_page_as_large_as_the_largest_is_not_believed_either() -> None:
    """A server that caps its pages may take a capped one for the last."""
    pager = Pager[Item](limit=100)
    fed(pager, page("abcd"), page("defg", has_more=False))
    assert not pager.done
    assert fed(pager, page("gh", has_more=False)) == ["h"]
    assert pager.done


@pytest.mark.parametrize(
    ("size", "after", "is_asked_again"),
    [
        (20, None, True),
        (19, None, False),
        (25, "x", True),
        (60, None, True),
        (60, "x", False),
        (49, None, False),
    ],
)
def test_a_short_page_that_may_be_capped_is_checked(
    size: int, after: str | None, is_asked_again: bool
) -> None:
    """A list may be cut at the server's own limit by one that counts with the limit asked for."""
    items = tuple(Item(str(number)) for number in range(size))
    checking, believing = Pager[Item](after, checks_caps=True), Pager[Item](after)
    for pager in (checking, believing):
        pager.feed(Page(items, has_more=False))
    assert (checking.done, believing.done) == (not is_asked_again, True)


@pytest.mark.parametrize(("size", "is_asked_again"), [(3, False), (4, True)])
def test_half_a_page_is_checked(size: int, is_asked_again: bool) -> None:
    """A first page of half of the limit may be capped; a smaller one is the end."""
    pager = Pager[Item](limit=8, checks_caps=True)
    pager.feed(page("abcd"[:size], has_more=False))
    assert pager.done is not is_asked_again


def test_pages_of_two_may_be_capped_too() -> None:
    """The second page is as large as the first, so the list need not end there."""
    pager = Pager[Item]()
    fed(pager, page("ab"), page("bc", has_more=False))
    assert state(pager) == ("b", False)


def test_without_has_more_only_nothing_new_is_the_end() -> None:
    """A server may send fewer than were asked for; that alone is no end."""
    pager = Pager[Item](limit=5)
    assert fed(pager, page("abcde", None), page("ef", None)) == ["abcde", "f"]
    assert fed(pager, page("f", None)) == [""]
    assert state(pager) == ("f", False)
    assert fed(pager, page("", None)) == [""]
    assert pager.done


def test_without_has_more_a_short_page_sent_again_is_the_end() -> None:
    """Such a server does not page at all: what it sent is all that it has."""
    pager = Pager[Item](limit=3)
    assert fed(pager, page("ab", None), page("ab", None), page("ab", None)) == ["ab", "", ""]
    assert pager.done


def test_without_has_more_a_full_page_sent_again_is_an_error() -> None:
    """It may be the first of many, from a server that ignores the cursor."""
    pager = Pager[Item](limit=2)
    fed(pager, page("ab", None), page("ab", None))
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(page("ab", None))


def test_a_server_of_one_item_a_page_is_read() -> None:
    """There is no item before the last: the last one itself is the cursor."""
    pager = Pager[Item]()
    assert fed(pager, page("a"), page("b"), page("c", False)) == ["a", "b", "c"]
    assert pager.done


def test_opaque_cursors_are_followed() -> None:
    """Where the server's cursor is not an id of the page, it is what the next page is asked by."""
    pager = Pager[Item]()
    assert fed(pager, page("ab", next_cursor="t1")) == ["ab"]
    assert state(pager) == ("t1", False)
    assert fed(pager, page("cd", next_cursor="t2"), page("e", False)) == ["cd", "e"]
    assert pager.done


def test_an_opaque_cursor_that_leads_back_to_the_start_is_not_followed() -> None:
    """A page may name the cursor that it was requested with."""
    pager = Pager[Item]("start")
    assert fed(pager, page("ab", next_cursor="start")) == ["ab"]
    assert state(pager) == ("a", False)


@pytest.mark.parametrize(("claims_more", "is_end"), [(False, True), (True, False)])
def test_nothing_behind_an_opaque_cursor(claims_more: bool, is_end: bool) -> None:
    """It is the end if the server has said so before, but not after a claim that there is more."""
    pager = Pager[Item](limit=2)
    fed(pager, page("ab", claims_more, next_cursor="t"))
    if is_end:
        assert fed(pager, page("", has_more=False)) == [""]
        assert pager.done
    else:
        with pytest.raises(StrandedError):
            pager.feed(page("", has_more=False))


def test_an_opaque_cursor_that_leads_nowhere_gives_way_to_ids() -> None:
    """A field of that name may mean something else."""
    pager = Pager[Item]()
    fed(pager, page("abc", next_cursor="t"), page("abc", next_cursor="t"))
    assert state(pager) == ("b", False)
    assert fed(pager, page("cd", has_more=False)) == ["d"]


def test_items_without_an_id_are_no_cursors() -> None:
    """The server does not know the names that were given to them."""
    pager = Pager[Item](is_cursor=lambda item: item.id.islower())
    fed(pager, page("abcDE"))
    assert state(pager) == ("b", False)
    assert fed(pager, page("cDEf", has_more=False)) == ["f"]


# Cursors that go by time


def at(seconds: str, *, start: int = 0) -> tuple[Item, ...]:
    """Return items numbered from `start`, created at these seconds."""
    return tuple(
        Item(str(number), second=int(second)) for number, second in enumerate(seconds, start)
    )


class ByTime:
    """A server whose `after=X` means: created later than X (or earlier, newest first)."""

    def __init__(self, items: tuple[Item, ...], limit: int, *, exact: bool = False) -> None:
        self.items, self.limit, self.exact = items, limit, exact
        self.requests = 0

    def page(self, cursor: str | None) -> Page[Item]:
        """Answer a request."""
        self.requests += 1
        place = next((n for n, item in enumerate(self.items) if item.id == cursor), None)
        begin = 0 if place is None else place + 1
        if place is not None and not self.exact:
            second = self.items[place].second
            while begin < len(self.items) and self.items[begin].second == second:
                begin += 1
        rest = self.items[begin:]
        return Page(rest[: self.limit], len(rest) > self.limit)

    def read(self) -> tuple[list[Item], list[Item]]:
        """Read it to its end; return the items, and the places behind which some may be hidden."""
        pager = Pager[Item](limit=self.limit, second=lambda item: item.second)
        found: list[Item] = []
        while not pager.done:
            assert self.requests < 10 * len(self.items) + 10
            try:
                found += pager.feed(self.page(pager.cursor))
            except StrandedError:
                assert pager.step_back()
        return found, pager.hidden_after


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "by time"])
@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
@pytest.mark.parametrize(
    "seconds",
    ["0001112223334445556", "01234567899", "000012222333344", "001122", "0111", "00001111", "0"],
)
def test_no_item_is_lost_between_two_pages(seconds: str, order: int, exact: bool) -> None:
    """Rows that share a second across the end of a page are all read, on either kind of server."""
    items = at(seconds)[::order]
    found, hidden = ByTime(items, 5, exact=exact).read()
    assert found == list(items)
    assert hidden == []


@pytest.mark.parametrize("seconds", ["1111111", "01111111", "0011111112", "01111112222223"])
def test_a_second_that_fills_a_page_is_read_where_the_cursor_is_exact(seconds: str) -> None:
    """The probe shows the last item again, so the cursor is a place after all."""
    items = at(seconds)
    assert ByTime(items, 3, exact=True).read() == (list(items), [])


@pytest.mark.parametrize("seconds", ["1111111", "01111111", "0011111112", "0111111122"])
def test_a_second_that_fills_a_page_is_said_where_the_cursor_goes_by_time(seconds: str) -> None:
    """The rest of that second cannot be read, and that is always reported."""
    items = at(seconds)
    found, hidden = ByTime(items, 3).read()
    assert [item.second for item in hidden] == [1]
    assert {item.second for item in set(items) - set(found)} == {1}


def test_an_item_that_was_deleted_between_two_pages_changes_nothing() -> None:
    """The last item does not come again, but it shares no second: the cursor is still a place."""
    pager = Pager[Item](limit=4, second=lambda item: item.second)
    pager.feed(Page(at("0123"), has_more=True))
    assert state(pager) == ("2", False)
    assert pager.feed(Page(at("45", start=4), has_more=True)) == list(at("45", start=4))
    assert pager.hidden_after == []
    assert state(pager) == ("4", False)


@pytest.mark.parametrize(("again", "is_end"), [("11", True), ("12", False)])
def test_a_last_second_that_comes_again_is_the_end(again: str, *, is_end: bool) -> None:
    """Cursors that mean "from this second on", and a claim of more on every page."""
    items = (*at("0"), *at(again, start=1))
    pager = Pager[Item](limit=10, second=lambda item: item.second)
    pager.feed(Page(items, has_more=True))
    pager.feed(Page(items[1:], has_more=True))
    assert state(pager) == ("2", False)
    if is_end:
        assert pager.feed(Page(items[1:], has_more=True)) == []
        assert pager.done
    else:
        with pytest.raises(InvalidResponseError, match="repeats"):
            pager.feed(Page(items[1:], has_more=True))


@pytest.mark.parametrize("seconds", ["0111", "000111", "0111222"])
def test_a_second_smaller_than_a_page_hides_nothing(seconds: str) -> None:
    """An empty page after a row of the last second shows only that cursors go by time."""
    items = at(seconds)
    assert ByTime(items, 4).read() == (list(items), [])


def test_cursors_by_time_cost_two_requests_at_the_turn() -> None:
    """Once the pager knows that cursors go by time, each page is one request."""
    items = tuple(Item(str(number), second=number // 3) for number in range(990))
    server = ByTime(items, 100)
    assert server.read() == (list(items), [])
    assert server.requests <= 12


def test_a_full_page_of_one_second_that_comes_again_is_an_error() -> None:
    """More rows of that second may follow, so it is not taken for the end."""
    items = at("11")
    pager = Pager[Item](limit=2, second=lambda item: item.second)
    pager.feed(Page(items, has_more=True))
    pager.feed(Page(items, has_more=True))
    with pytest.raises(InvalidResponseError, match="repeats"):
        pager.feed(Page(items, has_more=True))


def test_exact_cursors_cost_one_item_a_page() -> None:
    """Asking on from the item before the last is all that an exact server is asked more."""
    items = tuple(Item(str(number), second=number // 3) for number in range(9900))
    server = ByTime(items, 100, exact=True)
    assert server.read() == (list(items), [])
    assert server.requests == 100


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_a_server_that_begins_again_is_not_followed(order: int) -> None:
    """A cursor that is unknown is ignored by some: the first page again is not what comes next."""
    items = at("0123456789")[::order]
    pager = Pager[Item](limit=4, second=lambda item: item.second)
    pager.feed(Page(items[:4], has_more=True))
    pager.feed(Page(items[3:7], has_more=True))
    with pytest.raises(StrandedError):
        pager.feed(Page(items[:4], has_more=True))
    assert pager.step_back()


def test_an_item_twice_in_a_page_is_given_once() -> None:
    """The same object is not stored twice."""
    assert fed(Pager(), page("aba", has_more=False)) == ["ab"]


def test_different_items_of_one_id_in_a_page_are_all_given() -> None:
    """A server that numbers badly must not make messages vanish; the order stays."""
    items = [Item("a", "1"), Item("b"), Item("a", "2"), Item("a", "1")]
    assert Pager[Item]().feed(Page(tuple(items), has_more=False)) == items[:3]


def test_memory_is_bounded() -> None:
    """Of a list of any length only the last thousand ids are remembered."""
    pager = Pager[Item](limit=100)
    for start in range(0, 5000, 99):
        pages: Sequence[Item] = [Item(str(n)) for n in range(start, start + 100)]
        assert len(pager.feed(Page(tuple(pages), has_more=True))) == (100 if start == 0 else 99)
    assert not pager.has_seen("3000")
    assert pager.has_seen(str(start))
