"""Pieces of work done here, in processes, or on a Ray cluster, with no more than a few in flight.

A piece is independent of the others and leaves its result on disk, so the order in which pieces end
is no matter, and memory does not grow with their number.

This is not Ray Data: what a pipeline of Ray Data has done is lost when a run stops, where pieces on
disk are kept, and importing it alone took longer here than the small manifest. Ray's tasks run the
very same function on a cluster whose nodes share a file system. The tests run it on a Ray of one
node; on several it has not been run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import chain, islice
from threading import Thread
from typing import Any, TypeVar

Task = TypeVar("Task")
FEW = 2  # tasks that are done here: starting processes takes longer


class WorkerKilled(Exception):
    """A worker process ended without a word; what other tasks have done is on the disk."""


def run_tasks(
    work: Callable[[Any, Task], None],
    common: Any,
    tasks: Iterator[Task],
    *,
    n_workers: int | None = None,
    ray: str | None = None,
    on_done: Callable[[Task], None] = lambda _: None,
) -> None:
    """Call ``work(common, task)`` for every task.

    Args:
        work: a function of a module; what it raises stops the run.
        common: what all tasks need; sent once to each worker.
        tasks: drawn as they are needed.
        n_workers: processes; None for one per core, 1 for none.
        ray: the address of a cluster (``auto``, ``local``, ``ray://...``) instead of processes.
        on_done: called here after every task.

    Raises:
        WorkerKilled: a process was.
    """
    if ray is not None:
        _run_on_ray(work, common, tasks, ray, on_done)
        return
    n_workers = n_workers or os.cpu_count() or 1
    first = list(islice(tasks, FEW + 1))
    if n_workers == 1 or len(first) <= FEW:
        for task in chain(first, tasks):
            work(common, task)
            on_done(task)
        return
    _run_in_processes(work, common, chain(first, tasks), n_workers, on_done)


_common: Any = None
_work: Any = None


def _keep(work: Any, common: Any) -> None:
    global _common, _work
    _work, _common = work, common
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A run that is killed outright cannot stop its workers, which would wait for ever."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(task: Any) -> None:
    _work(_common, task)


def _run_in_processes(
    work: Any, common: Any, tasks: Iterator[Any], n_workers: int, on_done: Callable[[Any], None]
) -> None:
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # Spawned, because a fork of a process with threads (Arrow, the reward's pool) can hang.
    with ProcessPoolExecutor(n_workers, get_context("spawn"), _keep, (work, common)) as pool:
        running: dict[Future[None], Any] = {}
        try:
            for task in tasks:
                running[pool.submit(_call, task)] = task
                while len(running) > 2 * n_workers:
                    _settle(wait(running, return_when=FIRST_COMPLETED).done, running, on_done)
            while running:
                _settle(wait(running, return_when=FIRST_COMPLETED).done, running, on_done)
        except BrokenProcessPool as error:
            raise WorkerKilled(
                "a worker process was killed, by the kernel perhaps, for want of memory"
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _settle(done: Any, running: dict[Any, Any], on_done: Callable[[Any], None]) -> None:
    for future in done:
        task = running.pop(future)
        future.result()
        on_done(task)


def _run_on_ray(
    work: Any, common: Any, tasks: Iterator[Any], address: str, on_done: Callable[[Any], None]
) -> None:
    import ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    remote = ray.remote(work)
    shared = ray.put(common)
    n_at_once = 2 * int(ray.cluster_resources().get("CPU", 1))
    running: dict[Any, Any] = {}

    def settle() -> None:
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            task = running.pop(reference)
            ray.get(reference)
            on_done(task)

    for task in tasks:
        running[remote.remote(shared, task)] = task
        while len(running) > n_at_once:
            settle()
    while running:
        settle()
