"""Worker processes for algebra on hostile answers: a pair in, a verdict out, within a time limit.

The one file that starts, asks, kills and replaces processes. Each caller (any thread; `check_async`
for event loops) leases one worker, writes its question and waits for that worker's reply, so that a
slow answer holds one worker and results cannot be swapped. A worker that is late is killed, as
nothing else stops a computation; waiting for a free worker and its start do not count as time.

The workers are plain `subprocess` children that import math-verify alone: `fork` would copy a
trainer with its threads, `spawn` would import the caller's main module and with it verl and torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from queue import Empty, LifoQueue
from typing import Any, Generic, NamedTuple, TypeVar

from ovr_plugin.reward.spec import Tolerance

START_LIMIT_S = 60.0
# A worker that dies (of another answer's leak, or of the kernel) costs its answer one more try.
ATTEMPTS = 2
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ovr_plugin.reward.worker import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)
ALGEBRA = "ovr_plugin.reward.worker:load_algebra"
V = TypeVar("V")


class WorkerLost(RuntimeError):
    """The worker process ended before it replied."""


class Question(NamedTuple):
    """What algebra is asked: LaTeX of both sides, and how far numbers may lie apart."""

    reference: str
    answer: str
    tolerance: Tolerance | None = None


@dataclass(frozen=True)
class Verdict:
    """What algebra says: ``outcome`` is correct, wrong, bad_reference, timeout or error."""

    outcome: str
    reason: str = ""


class Pool:
    """Worker processes, started when first needed and at most ``n_workers`` at a time.

    Args:
        n_workers: processes; two or more, or one slow answer holds up all others.
        timeout_s: for one answer, from question to reply; then its worker is killed.
        memory_mb: address space of one worker.
        cache_size: verdicts kept of the pairs asked last; a timeout is no verdict.
        comparer: ``module:function`` that a worker calls once for its comparison,
            ``(reference, answer, tolerance) -> outcome``; tolerance is ``[relative, absolute]`` or
            None.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        timeout_s: float = 5.0,
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

    def check(self, reference: str, answer: str, tolerance: Tolerance | None = None) -> Verdict:
        """Ask a worker whether ``answer`` equals ``reference``; callable from any thread.

        Raises:
            RuntimeError: if the pool is closed or a worker cannot start; the text says why.
        """
        self._reset_if_forked()
        question = Question(reference, answer, tolerance)
        cached = self._cache.get(question)
        if cached is not None:
            return cached
        verdict = self._ask(question)
        if verdict.outcome not in ("timeout", "error"):
            self._cache.put(question, verdict)
        return verdict

    async def check_async(
        self, reference: str, answer: str, tolerance: Tolerance | None = None
    ) -> Verdict:
        """`check`, without holding up the event loop."""
        self._reset_if_forked()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._callers, self.check, reference, answer, tolerance)

    def close(self) -> None:
        """Kill the workers; one that is at work is killed as its caller returns."""
        self._closed = True
        idle: list[_Worker | None] = []
        with contextlib.suppress(Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for worker in idle:
            if worker is not None:
                worker.kill()
            self._slots.put(None)  # for callers to come, who learn that the pool is closed
        self._callers.shutdown(wait=False, cancel_futures=True)
        self._starter.shutdown(wait=False)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _ask(self, question: Question) -> Verdict:
        lost = ""
        for _ in range(ATTEMPTS):
            worker = self._lease()
            returned: _Worker | None = None
            try:
                verdict = worker.ask(question, self.timeout_s)
                returned = worker
                return verdict
            except TimeoutError:
                return Verdict("timeout", f"no verdict within {self.timeout_s:g} s")
            except WorkerLost as error:
                lost = str(error)
            finally:
                self._give_back(worker, returned)
        return Verdict("error", lost)

    def _lease(self) -> _Worker:
        """Take a worker that runs, starting one if need be; waits while all are at work."""
        worker = self._slots.get()
        try:
            if self._closed:
                raise RuntimeError("the pool is closed: make a new one")
            if worker is not None and not worker.is_alive():
                worker.kill()  # collects what is left of it
                worker = None
            if worker is None:
                # A worker dies with the thread that started it (Linux), so that thread has to stay.
                worker = self._starter.submit(_Worker, self.memory_mb, self.comparer).result()
            worker.wait_ready()
            return worker
        except BaseException:
            if worker is not None:
                worker.kill()
            self._slots.put(None)
            raise

    def _give_back(self, worker: _Worker, returned: _Worker | None) -> None:
        if returned is None or self._closed:
            worker.kill()
            returned = None
        self._slots.put(returned)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._slots: LifoQueue[_Worker | None] = LifoQueue()
        for _ in range(self.n_workers):
            self._slots.put(None)
        self._cache: LRU[Verdict] = LRU(self.cache_size)
        self._callers = ThreadPoolExecutor(self.n_workers, thread_name_prefix="ovr-reward")
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="ovr-reward-starter")

    def _reset_if_forked(self) -> None:
        if self._pid != os.getpid():  # a forked child must not read its parent's replies
            self._reset()


class _Worker:
    """One process and the pipe to it; used by one caller at a time."""

    def __init__(self, memory_mb: int, comparer: str) -> None:
        # One arithmetic and one order of terms on every machine, whatever is installed beside.
        env = {**os.environ, "SYMPY_GROUND_TYPES": "python", "PYTHONHASHSEED": "0"}
        args = [json.dumps(sys.path), str(os.getpid()), str(memory_mb), comparer]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed code
            [sys.executable, "-c", _CHILD, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        self._ids = count()
        self._unread = b""
        self._ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait until the child has loaded its libraries."""
        if self._ready:
            return
        try:
            hello = self._receive(START_LIMIT_S)
        except (TimeoutError, WorkerLost) as error:
            raise RuntimeError(f"a reward worker did not start: {error}") from error
        if "fatal" in hello:
            raise RuntimeError(f"a reward worker did not start: {hello['fatal']}")
        self._ready = True

    def ask(self, question: Question, timeout_s: float) -> Verdict:
        """Ask for a verdict.

        Raises:
            TimeoutError: if there is none in time; the worker is of no more use.
            WorkerLost: if the worker ended.
        """
        request_id = next(self._ids)
        tolerance = question.tolerance
        request = {
            "id": request_id,
            "reference": question.reference,
            "answer": question.answer,
            "tolerance": tolerance and [tolerance.relative, tolerance.absolute],
        }
        self._send({**request, "timeout_s": timeout_s})
        reply = self._receive(timeout_s)
        if reply.get("id") != request_id:
            raise WorkerLost("a reward worker replied to another question")
        return Verdict(str(reply["outcome"]), str(reply["reason"]))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a question that never left
                    pipe.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._lost() from error

    def _receive(self, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        fd = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(fd, select.POLLIN | select.POLLHUP)
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError(f"no reply within {limit_s:g} s")
            chunk = os.read(fd, 65536)
            if not chunk:
                raise self._lost()
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return dict(json.loads(line))

    def _lost(self) -> WorkerLost:
        return WorkerLost(f"a reward worker ended with exit code {self._process.wait()}")


class LRU(Generic[V]):
    """A dictionary that forgets what was asked for longest ago; safe among threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable) -> V | None:
        """Return the value, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value; the oldest goes when there are too many."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._size:
                self._items.popitem(last=False)


def default_n_workers() -> int:
    """Return a quarter of this process's cores, from 2 to 8: text decides most answers."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(2, min(8, (n_cores or 1) // 4))
