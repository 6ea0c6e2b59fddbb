"""Questions for algebra, their verdicts, and the order in which workers try them: `Queues`.

A question is tried twice at most. The first try has little computing time, so that hard or hostile
answers do not hold up the others; what needs more waits for a second try under the full limit, and
these never take the last worker. Time for them comes from an account that fills slowly, and when it
is spent, all that wait are given up: however many answers are hostile, each costs one first try,
and all of them together cost `SLOW_S` more.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ovr_plugin.reward.spec import Tolerance

FIRST_TRY_S = 0.1  # of computing
SLOW_S = 60.0  # of second tries, for each worker that may take them
SLOW_SHARE = 0.25  # of a worker's time, with which the account fills again
# A free worker is handed several questions, as who hands out may have to wait for the interpreter.
MAX_AHEAD = 8
MAX_AHEAD_CHARS = 2**13  # a socket takes that at once, however it is escaped


class Question(NamedTuple):
    """What algebra is asked: LaTeX of both sides, and how far numbers may lie apart."""

    reference: str
    answer: str
    tolerance: Tolerance | None = None


class Request(NamedTuple):
    """A question, or instead of a verdict how both sides are read."""

    question: Question
    explain: bool = False


@dataclass(frozen=True)
class Verdict:
    """What algebra says.

    Attributes:
        outcome: correct, wrong, bad_reference, timeout or error; explained where that was asked.
        reason: who decided, or why nobody could.
        forms: with ``explained`` the reference and the answer as they were read.
    """

    outcome: str
    reason: str = ""
    forms: tuple[str, str] | None = None


@dataclass
class Task:
    """A request on its way; ``spent_s`` is what its first try took."""

    id: int
    request: Request
    spent_s: float = 0.0
    is_second_try: bool = False

    @property
    def n_chars(self) -> int:
        """Length of both sides."""
        return len(self.request.question.reference) + len(self.request.question.answer)


class Queues:
    """Tasks that wait: first tries in the order they came, then second ones.

    Args:
        n_workers: who share the first tries. Second ones are for one of them while first ones wait,
            otherwise for all but one; a single worker takes them last.
        clock: seconds, like `time.monotonic`.
    """

    def __init__(self, n_workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_workers = n_workers
        self._n_for_second = max(1, n_workers - 1)
        self._clock = clock
        self._first: deque[Task] = deque()
        self._second: deque[Task] = deque()
        self._left_s, self._counted_at = SLOW_S * self._n_for_second, clock()

    def __bool__(self) -> bool:
        return bool(self._first or self._second)

    def add(self, task: Task) -> None:
        """Queue a new task."""
        self._first.append(task)

    def put_back(self, tasks: list[Task]) -> None:
        """Return tasks that a worker did not begin to the head of the queue."""
        self._first.extendleft(reversed(tasks))

    def add_second_try(self, task: Task) -> bool:
        """Queue a task whose first try failed; False if it had two, or there is no time for it."""
        if task.is_second_try or self._count() <= 0:
            return False
        task.is_second_try = True
        self._second.append(task)
        return True

    def take(self, n_second_at_work: int) -> list[Task]:
        """Return what the next free worker is to try, in order; empty if nothing is.

        A second try comes alone; first tries come as a fair share of all that wait.
        """
        n_for_second = 1 if self._first else self._n_for_second
        if self._first and self._n_workers == 1:
            n_for_second = 0
        if self._second and n_second_at_work < n_for_second:
            return [self._second.popleft()]
        if not self._first:
            return []
        share = min(MAX_AHEAD, math.ceil(len(self._first) / self._n_workers))
        tasks = [self._first.popleft()]
        n_chars = tasks[0].n_chars
        while len(tasks) < share and n_chars + self._first[0].n_chars <= MAX_AHEAD_CHARS:
            tasks.append(self._first.popleft())
            n_chars += tasks[-1].n_chars
        return tasks

    def spent(self, seconds: float) -> list[Task]:
        """Charge a second try; returns the tasks that are given up because of it."""
        self._left_s = self._count() - seconds
        if self._left_s > 0:
            return []
        given_up = list(self._second)
        self._second.clear()
        return given_up

    def drain(self) -> list[Task]:
        """Take everything out."""
        tasks = [*self._first, *self._second]
        self._first.clear()
        self._second.clear()
        return tasks

    def _count(self) -> float:
        """Seconds left for second tries."""
        now = self._clock()
        filled = (now - self._counted_at) * SLOW_SHARE * self._n_for_second
        self._left_s = min(self._left_s + filled, SLOW_S * self._n_for_second)
        self._counted_at = now
        return self._left_s
