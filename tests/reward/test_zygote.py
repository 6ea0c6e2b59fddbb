"""Where worker processes come from, and that none outlives its use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pool_processes import (
    LIGHT,
    check_many,
    cpu_seconds,
    is_gone,
    outcomes,
    wait_until,
    workers_of,
    zygotes_of,
)

from ovr_plugin.reward import dispatcher
from ovr_plugin.reward.pool import Pool, Question
from ovr_plugin.reward.processes import Lines, Zygote


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_a_zygote_that_dies_is_replaced_and_nothing_is_lost(
    light_pool: Pool, monkeypatch: pytest.MonkeyPatch, delay_s: float
) -> None:
    receive = Lines.receive

    def receive_late(lines: Lines) -> list[dict[str, Any]]:
        time.sleep(delay_s)  # so that all ends are seen at once
        return receive(lines)

    futures = [light_pool.submit(Question("1", f"sleep 0.0{i}")) for i in range(1, 10)]
    wait_until(lambda: len(workers_of(os.getpid())) == 2)
    workers = workers_of(os.getpid())
    (zygote,) = zygotes_of(os.getpid())
    monkeypatch.setattr(Lines, "receive", receive_late)
    zygote.kill()
    assert outcomes([future.result() for future in futures]) == ["wrong"] * 9
    assert all(is_gone(worker) for worker in workers)
    assert zygotes_of(os.getpid()) != [zygote]


def test_an_answer_that_kills_each_zygote_is_an_error(light_pool: Pool) -> None:
    assert light_pool.check("1", "kill_parent").outcome == "error"
    assert light_pool.check("1", "1").outcome == "correct"


def test_zygotes_that_keep_dying_are_given_up(light_pool: Pool) -> None:
    asked = [light_pool.submit(Question(f"{i}", "kill_parent")) for i in range(40)]
    errors = [future.exception() or future.result() for future in asked]
    assert RuntimeError in {type(error) for error in errors}
    assert "a reward worker did not start: a reward worker ended with exit code -9" in map(
        str, errors
    )
    assert light_pool.check("1", "1").outcome == "correct"


def test_workers_forked_before_the_zygote_was_warm_are_renewed(tmp_path: Path) -> None:
    with Pool(1, timeout_s=30, comparer="light_comparer:load_and_warm_up") as one:
        assert one.check("1", "warmth").outcome == "wrong"
        wait_until(lambda: one.check("1", f"warmth {time.monotonic()}").outcome == "correct")


def test_workers_outlive_the_thread_that_first_asked(light_pool: Pool) -> None:
    thread = threading.Thread(target=light_pool.check, args=("1", "2"))
    thread.start()
    thread.join()
    before = workers_of(os.getpid())
    light_pool.check("1", "3")
    assert [worker.pid for worker in before] == [worker.pid for worker in workers_of(os.getpid())]
    assert len(before) == 1


def test_started_ahead_a_pool_has_its_zygote_before_the_first_question(light_pool: Pool) -> None:
    assert zygotes_of(os.getpid()) == []
    light_pool.start()
    wait_until(lambda: len(zygotes_of(os.getpid())) == 1)
    ahead = zygotes_of(os.getpid())
    assert light_pool.check("1", "1").outcome == "correct"
    assert zygotes_of(os.getpid()) == ahead


PARENT = f"""
import os, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from ovr_plugin.reward.pool import Pool, Question
from ovr_plugin.reward.processes import Lines, Zygote
pool = Pool(n_workers=3, timeout_s=600, comparer={LIGHT!r})
for answer in ("hang", "sleep 600"):
    pool.submit(Question("1", answer))
pool.check("1", "2")
if "fork" in sys.argv and os.fork() == 0:  # as data loaders do: it holds the same sockets
    time.sleep(600)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("argument", ["", "fork"])
def test_no_worker_outlives_a_killed_parent(argument: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    wait_until(lambda: any(cpu_seconds(worker) > 0.5 for worker in workers_of(parent.pid)))
    workers, zygotes = workers_of(parent.pid), zygotes_of(parent.pid)
    forked = [child for child in psutil.Process(parent.pid).children() if child not in zygotes]
    assert (len(workers) >= 2, len(zygotes)) == (True, 1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    try:
        wait_until(lambda: all(is_gone(process) for process in workers + zygotes))
    finally:
        for child in forked:
            child.kill()
        parent.communicate()


def test_a_forked_child_gets_its_own_workers(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    result = run_python(
        """
import os, sys
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
from ovr_plugin.reward.pool import Pool
pool = Pool(n_workers=1, comparer="light_comparer:load")
assert pool.check("1", "1").outcome == "correct"
child = os.fork()
if child == 0:
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(pool.check, "2345", "2345"))
    pool.close()
    os._exit(0 if {v.outcome for v in verdicts} == {"correct"} else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert pool.check("1", "3").outcome == "wrong"
print("ok")
""",
        str(Path(__file__).parent),
    )
    assert result.stdout == "ok\n", result.stderr


def test_a_closed_pool_leaves_no_process_and_says_so() -> None:
    one = Pool(n_workers=2, comparer=LIGHT)
    check_many(one, [Question("x", f"{i}") for i in range(50)])
    workers = workers_of(os.getpid())
    one.close()
    assert zygotes_of(os.getpid()) == []
    assert all(is_gone(worker) for worker in workers)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the pool is closed"):
            one.check("x", "z")
    one.close()


def test_closing_ends_what_hangs_and_tells_those_who_wait() -> None:
    one = Pool(n_workers=1, timeout_s=600, comparer=LIGHT)
    futures = [one.submit(Question("1", answer)) for answer in ("sleep 600", "hang", "1")]
    wait_until(lambda: len(workers_of(os.getpid())) == 1)
    one.close()
    for future in futures:
        with pytest.raises(RuntimeError, match="the pool is closed"):
            future.result(timeout=0)
    assert zygotes_of(os.getpid()) == []


def test_closing_waits_for_nothing_that_is_still_starting() -> None:
    one = Pool(n_workers=1, comparer="light_comparer:load_for_ever")
    future = one.submit(Question("1", "1"))
    wait_until(lambda: len(zygotes_of(os.getpid(), one.comparer)) == 1)
    one.close()
    with pytest.raises(RuntimeError, match="the pool is closed"):
        future.result(timeout=0)
    assert zygotes_of(os.getpid(), one.comparer) == []


@pytest.mark.parametrize(
    ("comparer", "reason"),
    [
        ("no_such_module:load", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("light_comparer:exit", "a reward worker ended with exit code 4"),
    ],
)
def test_a_worker_that_cannot_start_is_an_error_and_no_verdict(comparer: str, reason: str) -> None:
    with Pool(n_workers=1, comparer=comparer) as one:
        for _ in range(2):  # another may
            with pytest.raises(RuntimeError, match=f"a reward worker did not start: {reason}"):
                one.check("x", "y")


@pytest.mark.parametrize("step", ["__init__", "fork"])
def test_a_machine_that_starts_no_process_says_so(
    light_pool: Pool, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Zygote, step, refuse)
        with pytest.raises(RuntimeError, match=r"did not start: .* Too many open files"):
            light_pool.check("1", "1")
    assert light_pool.check("1", "1").outcome == "correct"  # it may come to an end


def test_a_worker_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "START_LIMIT_S", 0.5)
    with (
        Pool(n_workers=1, comparer="light_comparer:load_for_ever") as one,
        pytest.raises(RuntimeError, match=r"did not start: not ready within 0.5 s"),
    ):
        one.check("x", "y")
