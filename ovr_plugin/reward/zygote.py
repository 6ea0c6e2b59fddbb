"""The zygote: a process that has imported the comparison and forks workers off itself.

`main` is the child's side of `ovr_plugin.reward.processes`. It reads no answers, so that nothing
hostile ever runs in it: it obeys orders to fork, kill and collect workers. As long as there are
none, it goes on to warm up what its next forks will inherit.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable, Iterator

from ovr_plugin.reward.processes import FORK, KILL, ORDER, REAP
from ovr_plugin.reward.worker import die_with, send, work


def main(parent_pid: int, memory_mb: int, comparer: str) -> None:
    """Be a zygote until stdin, a socket, is closed; ``comparer`` is ``module:loader``."""
    orders = _take_over_stdio()
    die_with(parent_pid)
    for number in (signal.SIGALRM, signal.SIGPROF):  # whatever the trainer does with them
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the trainer decides
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.disable()  # importing makes no garbage
    name, _, load = comparer.partition(":")
    try:
        module = importlib.import_module(name)
        compare = getattr(module, load)()
    except Exception as error:
        send(orders, {"fatal": f"{type(error).__name__}: {error}"})
        return
    explain = getattr(module, "explain_pair", None)
    warm_up = getattr(module, "warm_up", None)
    steps = warm_up() if callable(warm_up) else None
    _share_all()
    send(orders, {"ready": True, "warm": steps is None})
    _obey(orders, steps, lambda questions: work(questions, memory_mb, compare, explain))


def _obey(
    orders: socket.socket, steps: Iterator[None] | None, start: Callable[[socket.socket], None]
) -> None:
    running: dict[int, int] = {}  # worker -> process
    dying: set[int] = set()
    while True:
        if steps is not None and _warm_up(orders, steps):
            steps = None
        order, fds, *_ = socket.recv_fds(orders, ORDER.size, 1)
        dying = {pid for pid in dying if not os.waitpid(pid, os.WNOHANG)[0]}
        if len(order) < ORDER.size:
            break
        kind, worker = ORDER.unpack(order)
        if kind == FORK:
            running[worker] = _fork(orders, fds[0], start)
        elif kind in (KILL, REAP):
            pid = running.pop(worker)
            os.kill(pid, signal.SIGKILL)
            if kind == KILL:
                dying.add(pid)
            else:
                exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                send(orders, {"ended": worker, "exit_code": exit_code})
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)
    for pid in (*running.values(), *dying):
        os.waitpid(pid, 0)


def _warm_up(orders: socket.socket, steps: Iterator[None]) -> bool:
    """Take steps until an order comes; returns whether they were all."""
    while not select.select([orders], [], [], 0)[0]:
        try:
            next(steps)
        except StopIteration:
            _share_all()
            with contextlib.suppress(OSError):  # closed meanwhile, which the next order will tell
                send(orders, {"warm": True})
            return True
    return False


def _share_all() -> None:
    """Let no collection write to what is here, so that the forks share its memory."""
    gc.collect()
    gc.freeze()


def _fork(orders: socket.socket, questions: int, start: Callable[[socket.socket], None]) -> int:
    zygote = os.getpid()
    pid = os.fork()
    if pid:
        os.close(questions)
        return pid
    try:
        die_with(zygote)
        orders.close()
        start(socket.socket(fileno=questions))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _take_over_stdio() -> socket.socket:
    """Return the socket that stdin is. Nothing reads from stdin; what is printed goes to stderr."""
    orders = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return orders
