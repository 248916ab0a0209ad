"""An event loop in a thread of its own, for callers that wait and may be interrupted."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for synchronous callers of any thread; one loop for all of them.

    Signal handlers run in the main thread, which waits here: the loop is never torn by an
    exception that a handler raises (KeyboardInterrupt, Prefect's termination).
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="chatlake-loop", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end and return its result.

        When the waiting thread is interrupted, `work` is cancelled and awaited before the
        interrupting exception goes on. Further interruptions cancel it again, and are awaited too.
        """
        ended = threading.Event()
        tasks: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def start() -> None:
            task = self._loop.create_task(work, context=context)
            task.add_done_callback(lambda _: ended.set())
            tasks.append(task)

        def cancel() -> None:
            if tasks:
                tasks[0].cancel()
            else:  # interrupted before it was started, and now it never is
                ended.set()

        interruption: BaseException | None = None
        try:
            self._loop.call_soon_threadsafe(start)
            ended.wait()
        except BaseException as first:  # noqa: BLE001 - raised again below
            interruption = first
        while interruption is not None:
            try:
                self._loop.call_soon_threadsafe(cancel)
                ended.wait()
                break
            except BaseException as again:  # noqa: BLE001 - the first one is raised
                interruption.add_note(f"interrupted again: {again!r}")
        if interruption is None:
            return tasks[0].result()
        if not tasks:
            work.close()
        elif not tasks[0].cancelled():
            tasks[0].exception()  # was retrieved: nothing complains about it
        raise interruption

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
