"""How a long run uses memory: what is set for it is set back."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from chatlake.bootstrap.sparing_memory import sparing_memory


def test_garbage_is_collected_less_often_and_then_as_before() -> None:
    """The thresholds of the process are its own again, also when the run fails."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(RuntimeError), sparing_memory():  # noqa: PT012
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 10 * before[0]
        assert gc.get_freeze_count() > frozen
        raise RuntimeError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == frozen


def _state() -> tuple[tuple[int, int, int], bool, str]:
    return gc.get_threshold(), gc.get_freeze_count() > 0, pa.default_memory_pool().backend_name


@pytest.mark.parametrize("first_out", [0, 1, 2])
def test_overlapping_users_leave_the_process_as_it_was(first_out: int) -> None:
    """Whoever goes first: while one is left it is sparing, and the last sets everything back."""
    before = _state()
    users = [sparing_memory() for _ in range(3)]
    for user in users:
        user.__enter__()
    order = [users.pop(first_out), *users]
    for user in order[:-1]:
        user.__exit__(None, None, None)
        assert gc.get_threshold()[0] > 10 * before[0][0]
        assert pa.default_memory_pool().backend_name == "system"
    order[-1].__exit__(None, None, None)
    assert _state() == before


def test_threads_that_come_and_go_leave_the_process_as_it_was() -> None:
    """Batches of a worker overlap in any way, in threads: in the end nothing is changed."""
    before = _state()

    def batch(number: int) -> None:
        for _ in range(40):
            with sparing_memory():
                time.sleep(0.0002 * (number % 3))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(batch, range(6)))
    assert _state() == before
