"""What the pool's tests see of its processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psutil

from ovr_plugin.reward.pool import Pool, Question, Verdict

# Starts at once and does what it is told, see that file; the pool's own is math-verify.
LIGHT = "light_comparer:load"


def check_many(pool: Pool, questions: Iterable[Question]) -> list[Verdict]:
    """All at once, so that all workers are busy; verdicts in the questions' order."""
    return [future.result() for future in [pool.submit(question) for question in questions]]


def children_of(process: psutil.Process, comparer: str) -> list[psutil.Process]:
    """Processes with that comparison, dead ones that nobody waited for left out."""
    found = []
    for child in process.children():
        try:
            if comparer in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def zygotes_of(pid: int, comparer: str = LIGHT) -> list[psutil.Process]:
    return children_of(psutil.Process(pid), comparer)


def workers_of(pid: int, comparer: str = LIGHT) -> list[psutil.Process]:
    return [
        worker for zygote in zygotes_of(pid, comparer) for worker in children_of(zygote, comparer)
    ]


def is_gone(process: psutil.Process) -> bool:
    """Whether it runs no more, also where nobody has waited for it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def wait_until(true: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def outcomes(verdicts: list[Verdict]) -> list[str]:
    return [verdict.outcome for verdict in verdicts]
