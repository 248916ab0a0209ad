"""The error of many tasks at once."""

from __future__ import annotations

import asyncio

import pytest

from chatlake.backup.first_error import first_error


async def _fail(error: Exception) -> None:
    raise error


async def _fail_in_groups(error: Exception, depth: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_fail_in_groups(error, depth - 1) if depth else _fail(error))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_it_is_the_error_itself(depth: int) -> None:
    """However deeply tasks start tasks, the caller gets the first error and no group."""
    error = LookupError("the first")
    with pytest.raises(LookupError) as caught, first_error():
        asyncio.run(_fail_in_groups(error, depth))
    assert caught.value is error


def test_an_error_without_a_group_passes() -> None:
    """An error that no task raised passes unchanged."""
    with pytest.raises(KeyError), first_error():
        raise KeyError("alone")
