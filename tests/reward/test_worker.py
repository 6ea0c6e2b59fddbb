"""What an answer can do to its worker, and what it cannot."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pool_processes import LIGHT, check_many, is_gone, outcomes, wait_until, workers_of

from ovr_plugin.reward import dispatcher
from ovr_plugin.reward.pool import ALGEBRA, Pool, Question, Verdict
from ovr_plugin.reward.processes import Lines


def test_workers_load_no_trainer_and_are_limited(reward_pool: Pool) -> None:
    reward_pool.check("q^3-1", "(q-1)(q^2+q+1)")  # asked nowhere else, or no worker would start
    # The one that has worked: one that was forked a moment ago has no limits yet.
    workers = workers_of(os.getpid(), reward_pool.comparer)
    worker = max(workers, key=lambda each: sum(each.cpu_times()[:2]))
    libraries = " ".join(mapped.path for mapped in worker.memory_maps())
    assert not [name for name in ("/torch/", "/ray/", "/vllm/", "/numpy/") if name in libraries]
    assert worker.rlimit(psutil.RLIMIT_AS) == (reward_pool.memory_mb * 2**20,) * 2
    assert worker.rlimit(psutil.RLIMIT_NOFILE) == (0, 0)
    assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text() == "1000\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("eat", "MemoryError: "),
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
        ("fail", "ValueError: of the comparison"),
    ],
)
def test_what_a_comparison_raises_is_data(light_pool: Pool, answer: str, reason: str) -> None:
    assert light_pool.check("1", answer) == Verdict("error", reason)
    assert light_pool.check("1", "1").outcome == "correct"


def test_memory_that_others_left_is_no_answers_fault() -> None:
    with Pool(1, timeout_s=30, memory_mb=1024, comparer=LIGHT) as one:
        for i in range(2):  # each fits, both do not
            assert one.check(f"{i}", "hoard 600").outcome == "wrong"


def test_what_a_worker_without_memory_still_said_is_asked_again(
    light_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Lines.receive

    def receive_late(lines: Lines) -> list[dict[str, Any]]:
        time.sleep(0.2)  # so that several replies come at once
        return receive(lines)

    light_pool.check("1", "1")
    monkeypatch.setattr(Lines, "receive", receive_late)
    asked = [Question("1", "eat")] + [Question("1", f"{i}") for i in range(2, 16)]
    assert outcomes(check_many(light_pool, asked)) == ["error"] + ["wrong"] * 14


@pytest.mark.parametrize(
    ("misdeed", "reason"),
    [
        ("read {path}", "OSError: [Errno 24] Too many open files"),
        ("write {path}", "OSError: [Errno 24] Too many open files"),
        ("connect", "OSError: [Errno 24] Too many open files"),
        ("spawn {path}", "OSError: [Errno 24] Too many open files"),
        ("import colorsys", "ModuleNotFoundError: a reward worker loads nothing: no colorsys"),
    ],
)
def test_a_worker_can_open_nothing(
    light_pool: Pool, tmp_path: Path, misdeed: str, reason: str
) -> None:
    path = tmp_path / "file"
    if misdeed.startswith("read"):
        path.write_text("secret")
    verdict = light_pool.check("1", misdeed.format(path=path))
    assert verdict.outcome == "error"
    assert verdict.reason.startswith(reason)
    assert path.exists() == misdeed.startswith("read")


def test_a_worker_that_dies_is_replaced_without_a_word(light_pool: Pool, tmp_path: Path) -> None:
    light_pool.check("1", "2")
    (resting,) = workers_of(os.getpid())
    resting.kill()
    wait_until(lambda: is_gone(resting))
    assert light_pool.check("1", f"die_once {tmp_path / 'seen'}").outcome == "wrong"  # at work
    assert light_pool.check("1", "1").outcome == "correct"


def test_an_answer_that_kills_each_worker_is_an_error(light_pool: Pool) -> None:
    assert light_pool.check("1", "die") == Verdict(
        "error", "a reward worker ended with exit code 3"
    )
    assert light_pool.check("1", "1").outcome == "correct"


@pytest.mark.parametrize("text", ["print", "\ud800\n\x00", "米" * 100_000, '{"id": 7}\n'])
def test_no_text_disturbs_the_replies(light_pool: Pool, text: str) -> None:
    assert light_pool.check("1", text).outcome == "wrong"
    assert light_pool.check(text, text).outcome == "correct"


@pytest.mark.parametrize(
    "said", ["noise", "[]", "null", '{"id": 3, "outcome": "correct", "reason": ""}', '{"id": 1']
)
def test_a_worker_that_says_what_it_should_not_is_not_believed(light_pool: Pool, said: str) -> None:
    futures = [light_pool.submit(Question("1", f"babble {said}"))]
    futures += [light_pool.submit(Question("1", f"{i}")) for i in range(2, 20)]
    assert outcomes([future.result() for future in futures]) == ["error"] + ["wrong"] * 18


def test_workers_are_renewed_before_their_memory_grows(
    light_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_REPLIES", 5)
    seen = set()
    for i in range(20):
        assert light_pool.check("1", f"{i}").outcome == ("correct" if i == 1 else "wrong")
        seen |= {worker.pid for worker in workers_of(os.getpid())}
    assert len(seen) >= 4


def test_text_is_never_evaluated_as_code(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Also what math-verify does not call today: sympy's own ways from text to code are shut."""
    result = run_python(
        r"""
import importlib, sys
module, _, load = sys.argv[2].partition(":")
compare = getattr(importlib.import_module(module), load)()
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
    assert compare("1", answer, None) == "wrong"
assert compare("12.5", r"\frac{25}{2}", None) == "correct"
print([m for m in ("verl", "torch", "ray", "vllm", "transformers", "numpy") if m in sys.modules])
""",
        str(tmp_path / "touched"),
        ALGEBRA,
    )
    lines = result.stdout.splitlines()
    assert lines[-1:] == ["[]"], result.stderr
    names = ("sympify", "S", "parse_expr", "lambdify", "number")
    assert lines[:-1] == [f"{name} refused" for name in names]
    assert not (tmp_path / "touched").exists()
