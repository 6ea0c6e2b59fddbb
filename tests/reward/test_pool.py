"""Pairs in, verdicts out: whoever asks, however many at once, within the limits of time."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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

from ovr_plugin.reward import questions
from ovr_plugin.reward.dispatcher import FOR_WANT_OF_TIME
from ovr_plugin.reward.pool import LRU, Pool, Question, Verdict
from ovr_plugin.reward.questions import Queues
from ovr_plugin.reward.spec import Tolerance


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
def test_verdicts(reward_pool: Pool, reference: str, answer: str, outcome: str) -> None:
    assert reward_pool.check(reference, answer) == Verdict(outcome, "algebra")


def test_both_forms_are_explained(light_pool: Pool) -> None:
    assert light_pool.explain("1/2", "0.5") == ("<1/2>", "<0.5>")
    assert light_pool.check("1/2", "0.5").outcome == "wrong"  # another question
    with pytest.raises(RuntimeError, match="ValueError: of the comparison"):
        light_pool.explain("1", "fail")


def test_tolerance_reaches_the_comparison(light_pool: Pool) -> None:
    near = Tolerance(absolute=0.5)
    assert light_pool.check("1", "within 1.4", near).outcome == "correct"
    assert light_pool.check("1", "within 1.6", near).outcome == "wrong"


def test_replies_are_not_swapped_among_threads(light_pool: Pool) -> None:
    pairs = [(f"{i}", f"{i + i % 2}") for i in range(400)]
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda pair: light_pool.check(*pair), pairs))
    assert outcomes(verdicts) == ["correct", "wrong"] * 200


def test_many_at_once_keep_their_order_whatever_happens_to_some(impatient_pool: Pool) -> None:
    asked = [Question(f"{i}", f"{i + i % 2}") for i in range(300)]
    for i, misdeed in ((0, "hang"), (1, "die"), (50, "fail"), (51, "eat"), (52, "babble x")):
        asked[i] = Question("1", misdeed)
    expected = ["correct", "wrong"] * 150
    expected[0], expected[1] = "timeout", "error"
    expected[50], expected[51], expected[52] = "error", "error", "error"
    assert outcomes(check_many(impatient_pool, asked)) == expected
    assert check_many(impatient_pool, []) == []


def test_event_loops_get_the_same_verdicts(light_pool: Pool) -> None:
    async def ask() -> list[Verdict]:
        pairs = [(f"{i}", f"{i + i % 2}") for i in range(20)]
        return list(await asyncio.gather(*(light_pool.check_async(*pair) for pair in pairs)))

    for _ in range(2):  # a pool serves more than one loop
        assert outcomes(asyncio.run(ask())) == ["correct", "wrong"] * 10


def test_who_gives_up_waiting_takes_the_verdict_from_nobody_else(light_pool: Pool) -> None:
    async def ask() -> Verdict:
        hasty = asyncio.create_task(light_pool.check_async("1", "sleep 0.5"))
        patient = asyncio.create_task(light_pool.check_async("1", "sleep 0.5"))
        await asyncio.sleep(0.1)
        hasty.cancel()
        return await patient

    assert asyncio.run(ask()).outcome == "wrong"


def test_each_pair_is_asked_once_even_by_many_at_a_time(light_pool: Pool, tmp_path: Path) -> None:
    asked = [Question("1", f"log {tmp_path}")] * 20
    assert outcomes(check_many(light_pool, asked)) == ["wrong"] * 20
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(light_pool.check, ["1"] * 20, [f"log {tmp_path}"] * 20))
    assert len(list(tmp_path.iterdir())) == 1


def test_what_would_fail_again_is_not_asked_again(impatient_pool: Pool, tmp_path: Path) -> None:
    failed = [impatient_pool.check("1", f"log_and_fail {tmp_path}") for _ in range(3)]
    assert outcomes(failed) == ["error"] * 3
    assert len(list(tmp_path.iterdir())) == 1
    first = impatient_pool.check("1", "hang")
    began = time.monotonic()
    assert impatient_pool.check("1", "hang") == first
    assert time.monotonic() - began < 0.5


def test_a_late_worker_is_killed_and_replaced_while_others_answer(impatient_pool: Pool) -> None:
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(impatient_pool.check, "1", "sleep 600")
        wait_until(lambda: len(workers_of(os.getpid())) == 1)
        (hung,) = workers_of(os.getpid())
        assert [impatient_pool.check("1", f"{i}").outcome for i in (1, 2)] == ["correct", "wrong"]
        assert slow.result() == Verdict("timeout", "no verdict within 1 s")
    wait_until(lambda: is_gone(hung))
    assert impatient_pool.check("1", "3").outcome == "wrong"


def test_an_answer_takes_no_longer_than_its_limit(impatient_pool: Pool) -> None:
    impatient_pool.check("1", "1")
    for answer in ("hang", "sleep 600", "compute 600"):
        began = time.monotonic()
        assert impatient_pool.check("1", answer).outcome == "timeout"
        assert 0.9 < time.monotonic() - began < 1.9  # 1.2 is what is promised


def test_waiting_for_a_worker_is_not_counted_as_time() -> None:
    with Pool(1, timeout_s=1, comparer=LIGHT) as one:
        asked = [Question(f"{i}", "sleep 600") for i in range(3)] + [Question("1", "1")]
        assert outcomes(check_many(one, asked)) == ["timeout"] * 3 + ["correct"]


def test_hard_answers_get_their_time_after_easy_ones(light_pool: Pool) -> None:
    """Second tries never take the last worker: whoever comes later does not wait for them."""
    hard = [light_pool.submit(Question("1", f"compute {1 + i / 1000}")) for i in range(3)]
    easy = [light_pool.submit(Question("1", f"{i}")) for i in range(200)]
    assert outcomes([future.result() for future in easy]).count("wrong") == 199
    wait_until(lambda: any(cpu_seconds(worker) > 0.2 for worker in workers_of(os.getpid())))
    for i in range(200, 220):
        assert light_pool.check("1", f"{i}").outcome == "wrong"
        assert not all(future.done() for future in hard)
    assert outcomes([future.result() for future in hard]) == ["wrong"] * 3


def test_hostile_answers_together_take_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more second tries than there is time for; and others are graded as ever."""
    monkeypatch.setattr(questions, "SLOW_S", 2)
    monkeypatch.setattr(questions, "SLOW_SHARE", 0)
    hostile = [Question(f"{i}", "hang") for i in range(20)]
    with Pool(2, timeout_s=3, comparer=LIGHT) as pool:
        asked = [one for i, bad in enumerate(hostile) for one in (bad, Question(f"{i}", f"{i}"))]
        verdicts = check_many(pool, asked)
        assert outcomes(verdicts[1::2]) == ["correct"] * 20
        late = [verdict for verdict in verdicts[::2] if verdict != FOR_WANT_OF_TIME]
        assert late == [Verdict("timeout", "no verdict within 3 s")] * len(late)
        assert 1 <= len(late) <= 3
        monkeypatch.setattr(questions, "SLOW_SHARE", 1e6)  # what had no time is tried again
        again = pool.check(*hostile[verdicts[::2].index(FOR_WANT_OF_TIME)])
        assert again.reason == "no verdict within 3 s"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_should_the_thread_fail_nobody_waits_for_ever(
    light_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_pool.check("1", "1")
    monkeypatch.setattr(Queues, "take", lambda *_: 1 / 0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="thread failed: ZeroDivisionError"):
            light_pool.check("1", "2")
    assert zygotes_of(os.getpid()) == []


@pytest.mark.parametrize("name", ["n_workers", "timeout_s", "memory_mb", "cache_size"])
def test_numbers_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, not 0"):
        Pool(**{name: 0})


def test_lru_forgets_the_oldest() -> None:
    cache: LRU[int] = LRU(2)
    for key in "ab":
        cache.put(key, ord(key))
    assert cache.get("a") == 97
    cache.put("c", 99)
    assert [cache.get(key) for key in "abc"] == [97, None, 99]
    assert len(cache) == 2
