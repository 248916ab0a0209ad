"""How a long run uses memory: what is set for it is set back."""

from __future__ import annotations

import gc

import pytest

from chatlake.bootstrap.memory import sparing_memory


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
