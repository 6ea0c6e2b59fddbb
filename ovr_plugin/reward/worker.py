"""A worker process: pairs of reference and answer in, verdicts of algebra out.

One JSON object a line each way. The answers are hostile, and a worker is built to be lost: its
memory and its time are limited by the kernel, it dies with its parent, and once it is at work it
can open nothing, neither a file nor a socket nor a program.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Compare = Callable[[str, str, "list[float] | None"], str]
Explain = Callable[[str, str], "tuple[str, str]"]

RECURSION_LIMIT = 1000
TIMER_SLACK_S = 2.0  # after which a worker ends itself, should the trainer not do so


def work(
    questions: socket.socket, memory_mb: int, compare: Compare, explain: Explain | None
) -> None:
    """Answer questions until the socket is closed."""
    _limit(memory_mb)
    gc.enable()
    for line in questions.makefile("rb"):
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, question["timeout_s"] + TIMER_SLACK_S)
        signal.setitimer(signal.ITIMER_PROF, question["computing_s"])
        reply = _reply(question, compare, explain)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(questions, {"id": question["id"], **reply})


def _reply(question: dict[str, Any], compare: Compare, explain: Explain | None) -> dict[str, Any]:
    reference, answer = question["reference"], question["answer"]
    try:
        if question["explain"]:
            if explain is None:
                return {"outcome": "error", "reason": "this comparison explains nothing"}
            return {"outcome": "explained", "reason": "", "forms": explain(reference, answer)}
        outcome = compare(reference, answer, question["tolerance"])
        return {"outcome": outcome, "reason": "algebra"}
    except Exception as error:  # a process boundary: what it raised is the verdict
        return {
            "outcome": "error",
            "reason": f"{type(error).__name__}: {error}"[:200],
            "out_of_memory": isinstance(error, MemoryError),
        }


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Write a line."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def die_with(parent_pid: int) -> None:
    """Ask Linux for a kill when the parent's thread dies; elsewhere the socket's end must do."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the kernel was asked
        os._exit(0)


def _limit(memory_mb: int) -> None:
    """Limit memory and recursion, and let nothing be opened or loaded any more."""
    if sys.platform == "linux":  # if the machine runs out of memory, not the trainer is to go
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    limit = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.meta_path[:] = [_LoadNothing()]


class _LoadNothing:
    """Makes an import what libraries know how to handle, where opening its file would fail."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        raise ModuleNotFoundError(f"a reward worker loads nothing: no {name}", name=name)
