"""An event loop in its own thread, for callers that wait and may be interrupted."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for synchronous callers of any thread; one loop for all of them.

    Signal handlers run in the main thread, which waits here. So an exception that a handler raises
    (KeyboardInterrupt, Prefect's termination) never breaks the loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._waiting: set[threading.Event] = set()
        self._death: BaseException | None = None
        self._dying = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="chatlake-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end and return its result.

        When the waiting thread is interrupted, `work` is cancelled and awaited before the
        interrupting exception continues. Further interruptions cancel it again, and are awaited
        too. RuntimeError if the loop has died, through a SystemExit in other work or its own error.
        """
        ended = threading.Event()
        tasks: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def start() -> None:
            if ended.is_set():  # nobody is waiting any more
                return
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
            self._wait_with_me(ended)
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
        self._waiting.discard(ended)
        if not tasks:
            work.close()
        return self._result(tasks, interruption)

    def _result(self, tasks: list[asyncio.Task[T]], interruption: BaseException | None) -> T:
        """Return the result of work that nobody waits for any more, or raise its error."""
        task = tasks[0] if tasks and tasks[0].done() else None
        if interruption is not None:
            if task is not None and not task.cancelled():
                task.exception()  # was retrieved, so asyncio does not complain about it
            raise interruption
        if task is None:
            raise RuntimeError("the event loop has died") from self._death
        return task.result()

    def _work(self) -> None:
        """Run the loop. If it dies, nobody waits for it any more, now or later."""
        try:
            self._loop.run_forever()
        except BaseException as death:  # noqa: BLE001 - those who wait raise it
            with self._dying:
                self._death = death
                for ended in tuple(self._waiting):
                    ended.set()

    def _wait_with_me(self, ended: threading.Event) -> None:
        with self._dying:
            self._waiting.add(ended)
            if self._death is not None:
                ended.set()

    def close(self) -> None:
        """Stop the loop and wait for its thread; end what a dead loop has left."""
        if self._death is None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if left := asyncio.all_tasks(self._loop) if self._death is not None else ():
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
