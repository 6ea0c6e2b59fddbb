"""Grades: every outcome, verl's form, and the same result wherever it is called from."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import threading
from collections.abc import Callable

import numpy as np
import pytest

from ovr_plugin.reward import Grade, Outcome, Pool, compute_score, grade, grade_async
from ovr_plugin.reward.policy import Policy

KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason"]


def score(response: str, reference: object, **extra: object) -> dict[str, object]:
    return compute_score("any", response, reference, extra)


@pytest.mark.parametrize(
    ("response", "reference", "extra", "outcome", "pred"),
    [
        (r"\boxed{42}", "42", {}, "correct", "42"),
        (r"\boxed{1+x}", "x+1", {}, "correct", "1+x"),
        (r"\boxed{43}", "42", {}, "wrong", "43"),
        ("It is 42.", "42", {}, "no_answer", ""),
        (r"\boxed{}", "42", {}, "no_answer", ""),
        (r"<think>\boxed{42}", "42", {}, "no_answer", ""),
        (r"\boxed{42}", "42", {"truncated": True}, "truncated", "42"),
        ("cut", "42", {"truncated": np.bool_(True)}, "truncated", ""),
        (r"\boxed{42}", "42", {"truncated": False}, "correct", "42"),
        (r"\boxed{42}", None, {}, "bad_reference", "42"),
        (r"\boxed{}", "", {}, "bad_reference", ""),
        (r"\boxed{1}", r"\frac{((", {}, "bad_reference", "1"),
        (r"\boxed{42}", "42", {"choices": 7}, "bad_reference", "42"),
        (r"\boxed{" + "9" * 2001 + "}", "42", {}, "too_long", "9" * 256),
        (r"\boxed{B}", "B", {"choices": ["1", "2"]}, "correct", "B"),
        (r"\boxed{2}", "B", {"choices": ["1", "2"]}, "correct", "2"),
        (r"\boxed{2}", "B", {"choices": None, "tolerance": None, "truncated": None}, "wrong", "2"),
    ],
)
def test_outcomes(
    response: str, reference: object, extra: dict[str, object], outcome: str, pred: str
) -> None:
    row = score(response, reference, **extra)
    assert list(row) == KEYS
    assert (row["outcome"], row["pred"]) == (outcome, pred)
    assert row["score"] == row["acc"] == float(outcome == "correct")
    assert row["truncated"] == float(outcome == "truncated")
    json.dumps(row)


def test_a_timeout_scores_nothing_and_is_told_apart() -> None:
    answer = r"\prod_{n=1}^{2000}\sin n!"
    with Pool(n_workers=1, timeout_s=0.5) as pool:
        graded = grade(rf"\boxed{{{answer}}}", "1", pool=pool)
    assert graded == Grade(Outcome.TIMEOUT, answer, "no verdict within 0.5 s")
    assert graded.score == 0.0


@pytest.mark.parametrize(
    ("reference", "response", "outcome"),
    [
        (42, r"\boxed{42}", Outcome.CORRECT),
        (0, r"\boxed{0}", Outcome.CORRECT),
        (2.5, r"\boxed{5/2}", Outcome.CORRECT),
        (np.int64(42), r"\boxed{42}", Outcome.CORRECT),
        (np.array(["42"]), r"\boxed{42}", Outcome.CORRECT),
        (["42"], r"\boxed{42}", Outcome.CORRECT),
        (True, r"\boxed{True}", Outcome.CORRECT),
        (True, r"\boxed{1}", Outcome.WRONG),
        (["42", "43"], r"\boxed{42}", Outcome.BAD_REFERENCE),
        ({"answer": "42"}, r"\boxed{42}", Outcome.BAD_REFERENCE),
        (float("nan"), r"\boxed{nan}", Outcome.BAD_REFERENCE),
        (b"42", r"\boxed{42}", Outcome.BAD_REFERENCE),
        (None, r"\boxed{None}", Outcome.BAD_REFERENCE),
        (" ", r"\boxed{ }", Outcome.BAD_REFERENCE),
        ("x" * 2001, r"\boxed{x}", Outcome.BAD_REFERENCE),
    ],
)
def test_references_of_every_type(reference: object, response: str, outcome: Outcome) -> None:
    assert grade(response, reference).outcome is outcome


def test_a_bad_reference_says_why() -> None:
    assert grade(r"\boxed{1}", None).reason == "the reference is a NoneType, not a text or number"
    assert grade(r"\boxed{1}", "").reason == "the reference is empty"
    assert grade(r"\boxed{1}", float("inf")).reason == "the reference is inf"
    assert grade(r"\boxed{1}", "1" * 9, policy=Policy(max_answer_chars=8)).reason == (
        "the reference is longer than 8 characters"
    )
    assert grade(r"\boxed{1}", "1", {"choices": "AB"}).reason == (
        "choices must be option texts or letter -> text, not str"
    )


def test_truncated_as_a_keyword_overrides_the_extra() -> None:
    extra = {"truncated": False}
    row = compute_score("any", r"\boxed{1}", "1", extra, truncated=True, reward_router_address=None)
    assert row["outcome"] == "truncated"
    assert compute_score("any", r"\boxed{1}", "1")["outcome"] == "correct"
    assert compute_score(None, None, "1")["outcome"] == "no_answer"  # type: ignore[arg-type]


def test_the_same_from_main_thread_worker_thread_and_event_loop() -> None:
    cases = [(r"\boxed{1+x}", "x+1"), (r"\boxed{2+x}", "x+1"), (r"\boxed{3}", "3")]
    here = [grade(*case) for case in cases]
    there: list[Grade] = []
    thread = threading.Thread(target=lambda: there.extend(grade(*case) for case in cases))
    thread.start()
    thread.join()

    async def everywhere() -> list[Grade]:
        return list(await asyncio.gather(*(grade_async(*case) for case in cases)))

    assert here == there == asyncio.run(everywhere())
    assert [g.outcome.value for g in here] == ["correct", "wrong", "correct"]


def test_the_function_and_the_grade_cross_process_boundaries() -> None:
    assert pickle.loads(pickle.dumps(compute_score)) is compute_score  # noqa: S301
    graded = grade(r"\boxed{1}", "1")
    assert pickle.loads(pickle.dumps(graded)) == graded  # noqa: S301


def test_import_is_light_and_text_needs_no_process(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    heavy = "verl torch ray vllm sympy math_verify transformers numpy".split()
    result = run_python(
        f"""
import subprocess, sys
subprocess.Popen = None
from ovr_plugin.reward import compute_score
assert compute_score("s", r"\\boxed{{1/2}}", "0.5", None)["score"] == 1.0
print([name for name in {heavy} if name in sys.modules])
"""
    )
    assert result.stdout == "[]\n", result.stderr
