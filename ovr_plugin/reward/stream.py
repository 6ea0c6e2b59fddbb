"""Items in, results out in the same order and as soon as they are there; memory stays flat.

For a terminal or a pipe: the items may come one a minute or faster than they can be worked on. The
caller's thread reads them, so that Ctrl-C interrupts a read that waits; one thread works (an event
loop: a slow item holds up none but its own turn), one hands out results.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from queue import Queue
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# At work or waiting for a slower one before them: more than a pool's slow answers.
N_AHEAD = 1024


def run_in_order(
    items: Iterable[Item],
    work: Callable[[Item], Coroutine[Any, Any, Result]],
    emit: Callable[[Result], None],
    n_ahead: int = N_AHEAD,
) -> None:
    """Await ``work(item)`` of many items at once and call ``emit(result)`` in the items' order.

    Args:
        items: read in this thread, at most ``n_ahead`` before the result that is out last.
        work: runs in the thread of an event loop.
        emit: called in a thread of its own.
        n_ahead: how many items may be at work or done and waiting.

    Raises:
        BaseException: the first that reading, working or emitting raised, KeyboardInterrupt too;
            then nothing more is read or emitted.
    """
    queue: Queue[Future[Result] | None] = Queue(n_ahead)
    failures: list[BaseException] = []

    def emit_all() -> None:
        while (future := queue.get()) is not None:
            if failures:
                future.cancel()
                continue
            try:
                emit(future.result())
            except BaseException as error:  # handed over to the caller
                failures.append(error)

    loop = asyncio.new_event_loop()
    threads = [
        threading.Thread(target=loop.run_forever, name="ovr-work", daemon=True),
        threading.Thread(target=emit_all, name="ovr-emit", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        for item in items:
            if failures:
                break
            queue.put(asyncio.run_coroutine_threadsafe(work(item), loop))
        queue.put(None)
        threads[1].join()
    except BaseException as error:
        failures.append(error)
        _cancel_all(loop)  # so that nobody waits for results
        queue.put(None)
        threads[1].join()
    finally:
        _cancel_all(loop)
        loop.call_soon_threadsafe(loop.stop)
        threads[0].join()
        loop.close()
    if failures:
        raise failures[0]


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    async def cancel() -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(cancel(), loop).result()
