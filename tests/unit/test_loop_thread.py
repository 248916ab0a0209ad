"""The loop in a thread of its own: work is awaited, however often the waiting is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from chatlake.bootstrap.loop import LoopThread


class Interruption(BaseException):
    """What the handler raises in the waiting thread; its argument counts them."""


@contextmanager
def interrupting() -> Iterator[list[int]]:
    """Raise an interruption in this thread at each SIGUSR1; gives those that came."""
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        raise Interruption(len(came))

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_work_is_awaited_however_often_it_is_interrupted(times: int) -> None:
    """Each interruption cancels the work once; the first one is raised when the work has ended."""
    seen: list[str] = []

    async def work() -> None:
        for number in range(times):
            os.kill(os.getpid(), signal.SIGUSR1)
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append(f"cancelled {number + 1}")
        seen.append("ended")

    loop = LoopThread()
    try:
        with interrupting() as came, pytest.raises(Interruption) as raised:
            loop.run(work())
    finally:
        loop.close()

    assert raised.value.args == (1,)
    assert len(came) == times
    assert seen == [*(f"cancelled {number + 1}" for number in range(times)), "ended"]


def test_an_error_of_the_work_is_raised_and_the_loop_goes_on() -> None:
    """What the work raises, the caller gets, and the next work runs on the same loop."""

    async def work(error: Exception | None) -> str:
        if error is not None:
            raise error
        return "done"

    loop = LoopThread()
    try:
        with pytest.raises(ValueError, match="no"):
            loop.run(work(ValueError("no")))
        assert loop.run(work(None)) == "done"
    finally:
        loop.close()


@pytest.mark.timeout(20)
def test_work_that_ends_the_loop_ends_its_caller() -> None:
    """SystemExit in the work leaves no loop behind; it is raised, and nobody waits without end."""

    async def work() -> None:
        raise SystemExit(7)

    async def more() -> None:
        """Never begins."""

    loop = LoopThread()
    try:
        with pytest.raises(SystemExit, match="7"):
            loop.run(work())
        with pytest.raises(RuntimeError, match="the event loop has died") as died:
            loop.run(more())
    finally:
        loop.close()

    assert isinstance(died.value.__cause__, SystemExit)


@pytest.mark.timeout(20)
def test_a_loop_that_dies_ends_all_that_wait() -> None:
    """Work of another thread is waited for no longer, and an interrupted wait ends too."""
    begun = threading.Barrier(3)
    ends: list[BaseException] = []

    async def work() -> None:
        await asyncio.to_thread(begun.wait)
        await asyncio.sleep(30)

    async def dies() -> None:
        raise SystemExit(7)

    def wait() -> None:
        try:
            loop.run(work())
        except RuntimeError as error:
            ends.append(error)

    loop = LoopThread()
    waiting = [threading.Thread(target=wait, daemon=True) for _ in range(2)]
    for thread in waiting:
        thread.start()
    begun.wait()
    with pytest.raises(SystemExit):
        loop.run(dies())
    for thread in waiting:
        thread.join(10)
    loop.close()

    assert [str(error) for error in ends] == 2 * ["the event loop has died"]
