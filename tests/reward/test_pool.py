"""Worker processes: verdicts, time and memory limits, and no worker that outlives its use."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ovr_plugin.reward.pool import LRU, Pool, Verdict

RunPython = Callable[..., subprocess.CompletedProcess[str]]
# Starts at once and does what it is told, see that file; the pool's own is math-verify.
LIGHT = "light_comparer:load"


@pytest.fixture(scope="module")
def algebra() -> Iterator[Pool]:
    with Pool(n_workers=1, timeout_s=60) as pool:
        yield pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(n_workers=2, timeout_s=30, comparer=LIGHT) as pool:
        yield pool


@pytest.fixture
def impatient() -> Iterator[Pool]:
    with Pool(n_workers=2, timeout_s=1, comparer=LIGHT) as pool:
        yield pool


def workers_of(pid: int, comparer: str = LIGHT) -> list[psutil.Process]:
    """The worker processes of a process, dead ones that nobody waited for left out."""
    found = []
    for child in psutil.Process(pid).children():
        try:
            if comparer in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


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
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("reference", "answer", "outcome"),
    [
        ("x^2+2x+1", "(x+1)^2", "correct"),
        (r"2\sqrt{2}", r"\sqrt{8}", "correct"),
        (r"\tan x", r"\frac{\sin x}{\cos x}", "correct"),
        (r"\binom{5}{2}", "10", "correct"),
        ("x>2", "2<x", "correct"),
        (r"\infty", r"+\infty", "correct"),
        (r"2 \text{ or } -2", r"\pm 2", "correct"),
        ("[0,1]", "(0,1)", "wrong"),
        ("(1,2)", "(2,1)", "wrong"),
        ("n!", "n", "wrong"),
        ("5", "[0,10]", "wrong"),
        ("5", r"5\} 6\{", "wrong"),
        ("5", r"\frac{10}{2}\} 7", "wrong"),
        ("5", "x=5, x=6", "wrong"),
        # math-verify rounds to six decimals
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", "wrong"),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}", "wrong"),
        (r"\frac{((", "1", "bad_reference"),
    ],
)
def test_verdicts(algebra: Pool, reference: str, answer: str, outcome: str) -> None:
    assert algebra.check(reference, answer) == Verdict(outcome, "algebra")


def test_workers_load_no_trainer_and_are_limited(algebra: Pool) -> None:
    algebra.check("z", "y+0")
    workers = workers_of(os.getpid(), algebra.comparer)
    assert len(workers) == 1
    libraries = " ".join(mapped.path for mapped in workers[0].memory_maps())
    assert not [name for name in ("/torch/", "/ray/", "/vllm/", "/numpy/") if name in libraries]
    assert workers[0].rlimit(psutil.RLIMIT_AS) == (algebra.memory_mb * 2**20,) * 2


def test_replies_are_not_swapped_among_threads(pool: Pool) -> None:
    pairs = [(f"{i}", f"{i + i % 2}") for i in range(200)]
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda pair: pool.check(*pair), pairs))
    assert [v.outcome for v in verdicts] == ["correct", "wrong"] * 100


def test_event_loops_get_the_same_verdicts(pool: Pool) -> None:
    async def ask() -> list[Verdict]:
        pairs = [(f"{i}", f"{i + i % 2}") for i in range(20)]
        return list(await asyncio.gather(*(pool.check_async(*pair) for pair in pairs)))

    for _ in range(2):  # a pool serves more than one loop
        assert [v.outcome for v in asyncio.run(ask())] == ["correct", "wrong"] * 10


def test_a_late_worker_is_killed_and_replaced_while_others_answer(impatient: Pool) -> None:
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(impatient.check, "1", "hang")
        wait_until(lambda: len(workers_of(os.getpid())) == 1)
        (hung,) = workers_of(os.getpid())
        assert [impatient.check("1", f"{i}").outcome for i in (1, 2)] == ["correct", "wrong"]
        assert slow.result() == Verdict("timeout", "no verdict within 1 s")
    assert not hung.is_running()
    assert impatient.check("1", "3").outcome == "wrong"


def test_waiting_for_a_worker_is_not_counted_as_time() -> None:
    with Pool(1, timeout_s=1, comparer=LIGHT) as one, ThreadPoolExecutor(3) as threads:
        hung = [threads.submit(one.check, f"{i}", "hang") for i in (1, 2)]
        wait_until(lambda: all(task.running() for task in hung))
        assert threads.submit(one.check, "1", "1").result().outcome == "correct"
        assert [task.result().outcome for task in hung] == ["timeout", "timeout"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("eat", "MemoryError: "),
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
        ("raise", "ValueError: of the comparison"),
    ],
)
def test_what_a_comparison_raises_is_data(pool: Pool, answer: str, reason: str) -> None:
    assert pool.check("1", answer) == Verdict("error", reason)
    assert pool.check("1", "1").outcome == "correct"


@pytest.mark.parametrize("text", ["print", "\ud800\n\x00", "米" * 100_000, '{"id": 7}\n'])
def test_no_text_disturbs_the_replies(pool: Pool, text: str) -> None:
    assert pool.check("1", text).outcome == "wrong"
    assert pool.check(text, text).outcome == "correct"


def test_a_worker_that_dies_is_replaced_without_a_word(pool: Pool, tmp_path: Path) -> None:
    pool.check("1", "2")
    (resting,) = workers_of(os.getpid())
    resting.kill()
    wait_until(lambda: is_gone(resting))
    assert pool.check("1", f"die unless {tmp_path / 'seen'}").outcome == "wrong"  # at work
    assert pool.check("1", "1").outcome == "correct"


def test_an_answer_that_kills_each_worker_is_an_error(pool: Pool) -> None:
    assert pool.check("1", "die") == Verdict("error", "a reward worker ended with exit code 3")
    assert pool.check("1", "1").outcome == "correct"


def test_workers_outlive_the_thread_that_first_asked(pool: Pool) -> None:
    thread = threading.Thread(target=pool.check, args=("1", "2"))
    thread.start()
    thread.join()
    before = workers_of(os.getpid())
    pool.check("1", "3")
    assert [worker.pid for worker in before] == [worker.pid for worker in workers_of(os.getpid())]
    assert len(before) == 1


PARENT = f"""
import sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from ovr_plugin.reward.pool import Pool
pool = Pool(n_workers=2, timeout_s=600, comparer={LIGHT!r})
threading.Thread(target=pool.check, args=("1", "hang"), daemon=True).start()
pool.check("1", "2")
print("ready", flush=True)
sys.stdin.read()
"""


def test_no_worker_outlives_a_killed_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    wait_until(lambda: any(cpu_seconds(worker) > 0.5 for worker in workers_of(parent.pid)))
    workers = workers_of(parent.pid)
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: all(is_gone(worker) for worker in workers))


def test_a_forked_child_gets_its_own_workers(run_python: RunPython) -> None:
    result = run_python(
        """
import os, sys
sys.path.insert(0, sys.argv[1])
from ovr_plugin.reward.pool import Pool
pool = Pool(n_workers=1, comparer="light_comparer:load")
assert pool.check("1", "1").outcome == "correct"
child = os.fork()
if child == 0:
    os._exit(0 if pool.check("2", "2").outcome == "correct" else 1)
assert pool.check("1", "3").outcome == "wrong"
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("ok")
""",
        str(Path(__file__).parent),
    )
    assert result.stdout == "ok\n", result.stderr


def test_a_verdict_is_asked_for_once_and_an_error_again(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for answer in (f"log {log}", f"log {log}", f"log and raise {log}", f"log and raise {log}"):
        pool.check("1", answer)
    assert log.read_text().split() == ["log", "raise", "raise"]


def test_lru_forgets_the_oldest() -> None:
    cache: LRU[int] = LRU(2)
    for key in "ab":
        cache.put(key, ord(key))
    assert cache.get("a") == 97
    cache.put("c", 99)
    assert [cache.get(key) for key in "abc"] == [97, None, 99]
    assert len(cache) == 2


def test_a_closed_pool_leaves_no_process_and_says_so() -> None:
    one = Pool(n_workers=2, comparer=LIGHT)
    one.check("x", "y")
    one.close()
    assert workers_of(os.getpid()) == []
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the pool is closed"):
            one.check("x", "z")


def test_closing_wakes_those_who_wait_and_kills_what_hangs() -> None:
    one = Pool(n_workers=1, timeout_s=2, comparer=LIGHT)
    with ThreadPoolExecutor(2) as threads:
        hung = threads.submit(one.check, "1", "hang")
        wait_until(lambda: len(workers_of(os.getpid())) == 1)
        waiting = threads.submit(one.check, "1", "1")
        one.close()
        assert hung.result().outcome == "timeout"
        with pytest.raises(RuntimeError, match="the pool is closed"):
            waiting.result()
    assert workers_of(os.getpid()) == []


@pytest.mark.parametrize(
    ("comparer", "reason"),
    [
        ("no_such_module:load", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("light_comparer:exit", "a reward worker ended with exit code 4"),
    ],
)
def test_a_worker_that_cannot_start_is_an_error_and_no_verdict(comparer: str, reason: str) -> None:
    with Pool(n_workers=1, comparer=comparer) as one:
        for _ in range(2):  # the slot comes back
            with pytest.raises(RuntimeError, match=f"a reward worker did not start: {reason}"):
                one.check("x", "y")


@pytest.mark.parametrize("name", ["n_workers", "timeout_s", "memory_mb", "cache_size"])
def test_numbers_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, not 0"):
        Pool(**{name: 0})


def test_text_is_never_evaluated_as_code(
    run_python: Callable[..., object], tmp_path: object
) -> None:
    """Also what math-verify does not call today: sympy's own ways from text to code are shut."""
    result = run_python(
        r"""
import sys
from ovr_plugin.reward.worker import load_algebra
compare = load_algebra()
import sympy
from sympy.parsing.sympy_parser import parse_expr
touch = f"__import__('pathlib').Path({sys.argv[1]!r}).touch()"
x = sympy.Symbol("x")
tries = {
    "sympify": lambda: sympy.sympify(touch),
    "S": lambda: sympy.S(touch),
    "parse_expr": lambda: parse_expr(touch),
    "lambdify": lambda: sympy.lambdify(x, touch)(1),
    "number": lambda: sympy.Number(touch),
}
for name, evaluate in tries.items():
    try:
        evaluate()
    except Exception as error:
        print(name, "refused")
for macro in ("", r"\text", r"\operatorname", r"\mathrm"):
    answer = rf"{macro}{{{touch}}}"
    assert compare("1", answer) == "wrong"
assert compare("12.5", r"\frac{25}{2}") == "correct"
print([m for m in ("verl", "torch", "ray", "vllm", "transformers", "numpy") if m in sys.modules])
""",
        str(tmp_path / "touched"),
    )
    lines = result.stdout.splitlines()
    assert lines[-1:] == ["[]"], result.stderr
    names = ("sympify", "S", "parse_expr", "lambdify", "number")
    assert lines[:-1] == [f"{name} refused" for name in names]
    assert not (tmp_path / "touched").exists()
