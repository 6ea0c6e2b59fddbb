"""Questions in, verdicts out: the one thread that starts, asks, kills and replaces workers.

Callers only put questions into its inbox, so that any thread and any event loop can. A worker that
is late is killed, as nothing else stops a computation; one that dies is replaced, and its question
is tried once more.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ovr_plugin.reward.processes import Lines, ProcessLost, Zygote
from ovr_plugin.reward.questions import FIRST_TRY_S, Queues, Request, Task, Verdict

START_LIMIT_S = 60.0
MAX_STARTS = 3  # of the zygote, without a reply from any worker
MAX_REPLIES = 1000  # of one worker, whose memory only grows
OUTCOMES = frozenset(("correct", "wrong", "bad_reference", "error", "explained"))

FOR_WANT_OF_TIME = Verdict(
    "timeout",
    f"no verdict within {FIRST_TRY_S:g} s, and no time is left for more: too many need it",
)

# Takes what became of a request, and whether to ask it again would be in vain.
Conclude = Callable[[Request, "Verdict | RuntimeError", bool], None]


@dataclass
class _Worker:
    id: int
    lines: Lines
    tasks: deque[Task] = field(default_factory=deque)  # the first is at work
    since: float = 0.0  # when that one began
    n_replies: int = 0
    is_warm: bool = False  # as the zygote was when it forked this one


class Dispatcher:
    """A thread and its processes; every question is concluded, whatever happens to them.

    Args:
        n_workers: worker processes at most.
        timeout_s: of work for one answer, both tries together.
        start_zygote: starts the process that forks workers.
        conclude: called in the thread, once for each question.
    """

    def __init__(
        self,
        n_workers: int,
        timeout_s: float,
        start_zygote: Callable[[], Zygote],
        conclude: Conclude,
    ) -> None:
        self._n_workers = n_workers
        self._timeout_s = timeout_s
        self._start_zygote = start_zygote
        self._conclude = conclude
        self._inbox: deque[Request] = deque()
        self._inbox_lock = threading.Lock()
        self._over = ""  # why nothing can be asked any more
        self._end_asked = False
        self._queues = Queues(n_workers)
        self._workers: dict[int, _Worker] = {}
        self._ended: dict[int, Task] = {}  # worker -> what it died of; its exit code is to come
        self._zygote: Zygote | None = None
        self._n_starts = 0
        self._n_ids = 0
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._on_wake)
        # The zygote dies with the thread that started it (Linux), and that is this one.
        self._thread = threading.Thread(target=self._run, name="ovr-reward", daemon=True)
        self._thread.start()

    def ask(self, request: Request) -> None:
        """Put a request; from any thread.

        Raises:
            RuntimeError: if the thread has ended; says why.
        """
        with self._inbox_lock:
            if self._over:
                raise RuntimeError(self._over)
            self._inbox.append(request)
        self._wake()

    def close(self) -> None:
        """End the thread and all processes; open questions get an error. From any thread."""
        self._end_asked = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: it has ended
            self._wake_writer.send(b"\0")

    # The thread

    def _run(self) -> None:
        reason = "the pool is closed: make a new one"
        try:
            self._start(self._new_zygote)
            while not self._end_asked:
                self._take_inbox()
                self._start(self._hand_out)
                for key, _ in self._selector.select(self._patience_s()):
                    key.data()
                self._end_late()
        except BaseException as error:  # whoever waits must not wait for ever
            reason = f"the pool's thread failed: {type(error).__name__}: {error}"
            raise
        finally:
            self._end(reason)

    def _end(self, reason: str) -> None:
        with self._inbox_lock:
            self._over = reason
        for worker in self._workers.values():
            worker.lines.close()
        if self._zygote is not None:
            self._zygote.end()
        self._take_inbox()
        self._fail((task for worker in self._workers.values() for task in worker.tasks), reason)
        self._fail(self._ended.values(), reason)
        self._fail(self._queues.drain(), reason)
        for open_end in (self._selector, self._wake_reader, self._wake_writer):
            open_end.close()

    def _fail(self, tasks: Iterable[Task], reason: str) -> None:
        for task in tasks:
            self._conclude(task.request, RuntimeError(reason), False)

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(2**16)

    def _take_inbox(self) -> None:
        while self._inbox:
            self._queues.add(Task(self._new_id(), self._inbox.popleft()))

    def _new_id(self) -> int:
        self._n_ids += 1
        return self._n_ids

    def _patience_s(self) -> float | None:
        """Until the next limit is over."""
        limits = [_limit_of(worker, self._timeout_s) for worker in self._at_work()]
        if self._zygote is not None and not self._zygote.is_ready:
            limits.append(self._zygote.since + START_LIMIT_S)
        return max(0.0, min(limits) - time.monotonic()) if limits else None

    def _at_work(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.tasks]

    # Questions out

    def _hand_out(self) -> None:
        if self._queues and self._zygote is None:
            self._new_zygote()
        while self._queues and (worker := self._free_worker()):
            n_second = sum(other.tasks[0].is_second_try for other in self._at_work())
            worker.tasks.extend(self._queues.take(n_second))
            if not worker.tasks:
                return
            worker.since = time.monotonic()
            try:
                worker.lines.send([self._message(task) for task in worker.tasks])
            except ProcessLost:
                self._lost(worker)

    def _free_worker(self) -> _Worker | None:
        if self._zygote is None or not self._zygote.is_ready:
            return None
        for worker in self._workers.values():
            if not worker.tasks:
                return worker
        if len(self._workers) == self._n_workers:
            return None
        worker_id = self._new_id()
        try:
            lines = self._zygote.fork(worker_id)
        except OSError:
            if self._workers:
                return None  # those that are there will do
            raise
        new = self._workers[worker_id] = _Worker(worker_id, lines, is_warm=self._zygote.is_warm)
        self._selector.register(new.lines, selectors.EVENT_READ, lambda: self._on_replies(new))
        return new

    def _message(self, task: Task) -> dict[str, Any]:
        question, explain = task.request
        tolerance = question.tolerance
        return {
            "id": task.id,
            "reference": question.reference,
            "answer": question.answer,
            "tolerance": tolerance and [tolerance.relative, tolerance.absolute],
            "explain": explain,
            "computing_s": 0.0 if task.is_second_try else FIRST_TRY_S,
            "timeout_s": self._timeout_s,
        }

    # Verdicts in

    def _on_replies(self, worker: _Worker) -> None:
        if worker.id not in self._workers:  # dropped since the selector looked
            return
        try:
            for reply in worker.lines.receive():
                if worker.id in self._workers:
                    self._on_reply(worker, reply)
        except ProcessLost:
            self._lost(worker)

    def _on_reply(self, worker: _Worker, reply: dict[str, Any]) -> None:
        is_expected = worker.tasks and reply.get("id") == worker.tasks[0].id
        if not is_expected or reply.get("outcome") not in OUTCOMES:
            raise ProcessLost("a reward worker replied to another question")
        task = self._end_work(worker)
        worker.n_replies += 1
        self._n_starts = 0
        forms = reply.get("forms")
        verdict = Verdict(reply["outcome"], str(reply["reason"]), forms and (forms[0], forms[1]))
        in_vain = True
        if reply.get("out_of_memory"):  # of which earlier answers may have taken a part
            self._kill(worker)
            in_vain = task.is_second_try
            if self._queues.add_second_try(task):
                return
        elif not worker.tasks and self._is_worn(worker):
            self._kill(worker)
        self._conclude(task.request, verdict, in_vain)

    def _is_worn(self, worker: _Worker) -> bool:
        is_cold = self._zygote is not None and self._zygote.is_warm and not worker.is_warm
        return is_cold or worker.n_replies >= MAX_REPLIES

    def _end_work(self, worker: _Worker) -> Task:
        """Take the task at work off a worker and charge its time."""
        now = time.monotonic()
        task, took_s = worker.tasks.popleft(), now - worker.since
        worker.since = now
        task.spent_s += took_s
        for given_up in self._queues.spent(took_s) if task.is_second_try else []:
            self._conclude(given_up.request, FOR_WANT_OF_TIME, False)
        return task

    def _end_late(self) -> None:
        now = time.monotonic()
        for worker in self._at_work():
            if now >= _limit_of(worker, self._timeout_s):
                late = self._end_work(worker)
                self._kill(worker)
                reason = f"no verdict within {self._timeout_s:g} s"
                self._conclude(late.request, Verdict("timeout", reason), True)
        zygote = self._zygote
        if zygote is not None and not zygote.is_ready and now >= zygote.since + START_LIMIT_S:
            self._zygote_lost(f"not ready within {START_LIMIT_S:g} s")

    # Processes come and go

    def _start(self, step: Callable[[], None]) -> None:
        """Take a step that may start processes; if the machine refuses, nothing can be asked."""
        try:
            step()
        except OSError as error:
            self._cannot_start(str(error))

    def _cannot_start(self, reason: str) -> None:
        self._n_starts = 0
        self._take_inbox()
        self._fail(self._queues.drain(), f"a reward worker did not start: {reason}")

    def _kill(self, worker: _Worker) -> None:
        self._drop(worker)
        if self._zygote is not None:
            self._zygote.kill(worker.id)

    def _lost(self, worker: _Worker) -> None:
        """The worker has ended or is of no use; the zygote is asked why."""
        if worker.tasks:
            self._ended[worker.id] = self._end_work(worker)
        self._drop(worker)
        if self._zygote is not None:
            self._zygote.reap(worker.id)

    def _drop(self, worker: _Worker) -> None:
        del self._workers[worker.id]
        self._selector.unregister(worker.lines)
        worker.lines.close()
        self._queues.put_back(list(worker.tasks))
        worker.tasks.clear()

    def _on_end(self, worker_id: int, exit_code: int | None) -> None:
        task = self._ended.pop(worker_id, None)
        if task is None or self._queues.add_second_try(task):
            return
        if exit_code == -signal.SIGPROF:
            self._conclude(task.request, FOR_WANT_OF_TIME, False)
        else:
            reason = f"a reward worker ended with exit code {exit_code}"
            self._conclude(task.request, Verdict("error", reason), False)

    def _new_zygote(self) -> None:
        self._n_starts += 1
        zygote = self._zygote = self._start_zygote()
        self._selector.register(zygote.lines, selectors.EVENT_READ, lambda: self._on_zygote(zygote))

    def _on_zygote(self, zygote: Zygote) -> None:
        try:
            for worker_id, exit_code in zygote.receive():
                self._on_end(worker_id, exit_code)
        except ProcessLost:
            self._zygote_lost()

    def _zygote_lost(self, reason: str = "") -> None:
        """Its workers have died with it. One that cannot start leaves nothing to be asked."""
        zygote, self._zygote = self._zygote, None
        if zygote is None:
            return
        self._selector.unregister(zygote.lines)
        ended = zygote.end()
        for worker in list(self._workers.values()):
            self._lost(worker)
        for worker_id in list(self._ended):
            self._on_end(worker_id, None)
        if not zygote.is_ready or self._n_starts >= MAX_STARTS:
            self._cannot_start(reason or ended)


def _limit_of(worker: _Worker, timeout_s: float) -> float:
    """When the answer at work is late; both its tries count."""
    return worker.since + timeout_s - worker.tasks[0].spent_s
