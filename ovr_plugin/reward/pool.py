"""Algebra on hostile answers: a pair in, a verdict out, within a time limit, from any thread.

`Pool` is what callers see. It asks each pair once, even when many ask at the same time, and leaves
the processes to a thread (`ovr_plugin.reward.dispatcher`); where they come from and how they die is
in `ovr_plugin.reward.processes`, what they do in `ovr_plugin.reward.worker`.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakSet

from ovr_plugin.reward.dispatcher import Dispatcher
from ovr_plugin.reward.processes import Zygote
from ovr_plugin.reward.questions import Question, Request, Verdict
from ovr_plugin.reward.spec import Tolerance

__all__ = ["ALGEBRA", "LRU", "TIMEOUT_S", "Pool", "Question", "Verdict", "default_n_workers"]

TIMEOUT_S = 2.0
ALGEBRA = "ovr_plugin.reward.algebra:load"
V = TypeVar("V")


class Pool:
    """Worker processes, started when first needed and at most ``n_workers`` at a time.

    Waiting for a free worker does not count as an answer's time. Many slow answers at once may get
    less than their limit (`ovr_plugin.reward.questions`); their verdicts are not remembered.

    Args:
        n_workers: processes; two or more, or one slow answer holds up all others.
        timeout_s: of work for one answer; then its worker is killed.
        memory_mb: address space of one worker.
        cache_size: verdicts kept of the pairs asked last.
        comparer: ``module:function`` that is called once for the comparison of all workers,
            ``(reference, answer, tolerance) -> outcome``; tolerance is ``[relative, absolute]`` or
            None. The module may have an ``explain_pair(reference, answer) -> (str, str)``.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        timeout_s: float = TIMEOUT_S,
        memory_mb: int = 2048,
        cache_size: int = 8192,
        comparer: str = ALGEBRA,
    ) -> None:
        self.n_workers = default_n_workers() if n_workers is None else n_workers
        self.timeout_s = timeout_s
        self.memory_mb = memory_mb
        self.cache_size = cache_size
        self.comparer = comparer
        for name in ("n_workers", "timeout_s", "memory_mb", "cache_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._dispatcher: Dispatcher | None = None
        self._open: dict[Request, Future[Verdict]] = {}
        self._cache: LRU[Verdict] = LRU(self.cache_size)

    def start(self) -> None:
        """Begin to start the workers, without waiting: the first question then has not to wait."""
        with self._lock:
            self._running()

    def submit(self, question: Question, *, explain: bool = False) -> Future[Verdict]:
        """Ask a question and return the verdict to come; callable from any thread.

        Raises:
            RuntimeError: if the pool is closed; the future raises it if a worker cannot start, or
                if the pool is closed before the verdict.
        """
        request = Request(question, explain)
        with self._lock:
            known = self._open.get(request)
            if known is not None:
                return known
            future: Future[Verdict] = Future()
            future.set_running_or_notify_cancel()  # many may wait for it: none can cancel it
            verdict = self._cache.get(request)
            if verdict is not None:
                future.set_result(verdict)
                return future
            self._running().ask(request)
            self._open[request] = future
            return future

    def check(self, reference: str, answer: str, tolerance: Tolerance | None = None) -> Verdict:
        """Ask whether ``answer`` equals ``reference`` and wait for the verdict.

        Raises:
            RuntimeError: if the pool is closed or a worker cannot start; the text says why.
        """
        return self.submit(Question(reference, answer, tolerance)).result()

    async def check_async(
        self, reference: str, answer: str, tolerance: Tolerance | None = None
    ) -> Verdict:
        """`check`, without holding up the event loop."""
        import asyncio  # who calls this has it; without it, the import of all this takes half

        future = self.submit(Question(reference, answer, tolerance))
        return future.result() if future.done() else await asyncio.wrap_future(future)

    def explain(self, reference: str, answer: str) -> tuple[str, str]:
        """Return how algebra reads both sides, for people.

        Raises:
            RuntimeError: if it cannot, or not in time; the text says why.
        """
        verdict = self.submit(Question(reference, answer), explain=True).result()
        if verdict.forms is None:
            raise RuntimeError(verdict.reason)
        return verdict.forms

    def close(self) -> None:
        """Kill the workers and wait for their end; who waits for a verdict gets an error."""
        with self._lock:
            self._closed = True
            dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _running(self) -> Dispatcher:
        if self._closed:
            raise RuntimeError("the pool is closed: make a new one")
        if self._dispatcher is None:
            start_zygote = partial(Zygote, self.memory_mb, self.comparer)
            self._dispatcher = Dispatcher(
                self.n_workers, self.timeout_s, start_zygote, self._conclude
            )
        return self._dispatcher

    def _conclude(self, request: Request, found: Verdict | RuntimeError, remember: bool) -> None:
        with self._lock:
            future = self._open.pop(request)
            if remember and isinstance(found, Verdict):
                self._cache.put(request, found)
        if isinstance(found, Verdict):
            future.set_result(found)
        else:
            future.set_exception(found)


def _forget_parents_processes() -> None:
    """In a forked child no thread of the parent runs, and its replies are not for the child."""
    for pool in _POOLS:
        pool._reset()


_POOLS: WeakSet[Pool] = WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents_processes)


class LRU(Generic[V]):
    """A dictionary that forgets what was asked for longest ago; its user holds the lock."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: OrderedDict[Hashable, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable) -> V | None:
        """Return the value, or None."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key]

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value; the oldest goes when there are too many."""
        self._items[key] = value
        self._items.move_to_end(key)
        while len(self._items) > self._size:
            self._items.popitem(last=False)


def default_n_workers() -> int:
    """Return a quarter of this process's cores, from 2 to 8: text decides most answers."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(2, min(8, (n_cores or 1) // 4))
