"""A response and its reference in, a grade out: 1 for the right answer, 0 for everything else.

The reward is binary correctness and nothing else (OVR 3.2). What is not right is told apart by its
`Outcome`, because a reward that is zero for a bad reference or a timeout looks like a weak policy.

What a row knows of its answer (`spec`) comes in ``extra_info``; what holds for a whole source, and
how answers are extracted, in a `Policy`.
"""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.extract import extract_answers
from ovr_plugin.reward.policy import DEFAULT, Policy
from ovr_plugin.reward.pool import Pool, Question, Verdict
from ovr_plugin.reward.several import answer_of

MAX_PRED_CHARS = 256  # of the answer, in what goes to the trainer's tables


class Outcome(str, Enum):
    """What became of a response; only `CORRECT` scores."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"  # no complete box, an empty one, or thinking that never ended
    TRUNCATED = "truncated"
    BAD_REFERENCE = "bad_reference"  # missing, of a type that is no answer, or unreadable
    TIMEOUT = "timeout"
    TOO_LONG = "too_long"
    ERROR = "error"  # the comparison itself failed


@dataclass(frozen=True)
class Grade:
    """The verdict on one response: its outcome, the answer found ('' for none) and who decided."""

    outcome: Outcome
    extracted: str = ""
    reason: str = ""

    @property
    def score(self) -> float:
        """1.0 or 0.0."""
        return 1.0 if self.outcome is Outcome.CORRECT else 0.0


@dataclass(frozen=True)
class _Open:
    """An answer that text could not decide: what algebra has to compare."""

    answer: str
    question: Question

    def close(self, verdict: Verdict) -> Grade:
        return Grade(Outcome(verdict.outcome), self.answer, verdict.reason)


def grade(
    response: str,
    reference: object,
    extra_info: Mapping[str, Any] | None = None,
    *,
    data_source: str | None = None,
    policy: Policy = DEFAULT,
    pool: Pool | None = None,
) -> Grade:
    """Grade one response; callable from any thread.

    Args:
        response: the model's text, thinking included.
        reference: the right answer: text or a number, or a list of exactly one.
        extra_info: what the row knows (`ovr_plugin.reward.spec`); with ``truncated`` the response
            was cut off at its limit and scores 0 (ORZ's rule).
        data_source: the dataset, for its defaults in ``policy``.
        policy: how to extract, and defaults per source.
        pool: where algebra runs; by default one pool for the process, made when first needed.
    """
    return grade_soon(
        response, reference, extra_info, data_source=data_source, policy=policy, pool=pool
    )()


async def grade_async(
    response: str,
    reference: object,
    extra_info: Mapping[str, Any] | None = None,
    *,
    data_source: str | None = None,
    policy: Policy = DEFAULT,
    pool: Pool | None = None,
) -> Grade:
    """`grade`, without holding up the event loop while algebra is at work."""
    prepared = _prepare(response, reference, extra_info or {}, data_source, policy)
    if isinstance(prepared, Grade):
        return prepared
    return prepared.close(await (pool or default_pool()).check_async(*prepared.question))


def grade_batch(
    responses: Sequence[str],
    references: Sequence[object],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    data_sources: Sequence[str | None] | None = None,
    *,
    policy: Policy = DEFAULT,
    pool: Pool | None = None,
) -> list[Grade]:
    """`grade` many responses, in their order: all workers are busy, none waits for a slow answer.

    Raises:
        ValueError: if there are not as many references, extras or sources as responses.
    """
    n = len(responses)
    columns: dict[str, Sequence[Any]] = {
        "references": references,
        "extra_infos": [None] * n if extra_infos is None else extra_infos,
        "data_sources": [None] * n if data_sources is None else data_sources,
    }
    if uneven := [f"{len(column)} {name}" for name, column in columns.items() if len(column) != n]:
        raise ValueError(f"{n} responses have {', '.join(uneven)}")
    # All begin before the first is waited for: workers are busy while later rows are prepared.
    begun = [
        grade_soon(response, reference, extra, data_source=source, policy=policy, pool=pool)
        for response, reference, extra, source in zip(responses, *columns.values(), strict=True)
    ]
    return [finish() for finish in begun]


def grade_soon(
    response: str,
    reference: object,
    extra_info: Mapping[str, Any] | None = None,
    *,
    data_source: str | None = None,
    policy: Policy = DEFAULT,
    pool: Pool | None = None,
) -> Callable[[], Grade]:
    """Begin to `grade`: text now, algebra in the pool; what is returned waits for the grade."""
    prepared = _prepare(response, reference, extra_info or {}, data_source, policy)
    if isinstance(prepared, Grade):
        return lambda: prepared
    verdict = (pool or default_pool()).submit(prepared.question)
    return lambda: prepared.close(verdict.result())


def as_row(graded: Grade) -> dict[str, Any]:
    """Return a grade as the flat row that goes to the trainer; the keys never vary."""
    return {
        "score": graded.score,
        "acc": graded.score,
        "outcome": graded.outcome.value,
        "pred": graded.extracted[:MAX_PRED_CHARS],
        "truncated": float(graded.outcome is Outcome.TRUNCATED),
        "reason": graded.reason,
    }


def reference_text(reference: object) -> str:
    """Return the reference as text.

    Raises:
        ValueError: if it is missing, empty or of a type that is no answer.
    """
    if hasattr(reference, "tolist"):  # a numpy scalar or array, as parquet gives it
        reference = reference.tolist()
    if isinstance(reference, list | tuple) and len(reference) == 1:
        reference = reference[0]
    if isinstance(reference, float) and not math.isfinite(reference):
        raise ValueError(f"the reference is {reference}")
    if isinstance(reference, bool | int | float):
        reference = str(reference)
    if not isinstance(reference, str):
        raise ValueError(f"the reference is a {type(reference).__name__}, not a text or number")
    if not reference.strip():
        raise ValueError("the reference is empty")
    return reference


def find_boxes(response: object, policy: Policy) -> list[str]:
    """Return the boxes that may be the answer (`extract_answers`); none if it is no text."""
    if not isinstance(response, str):
        return []
    return extract_answers(response, answer_tags=policy.answer_tags, unboxed=policy.unboxed)


def _prepare(
    response: str,
    reference: object,
    extra_info: Mapping[str, Any],
    data_source: str | None,
    policy: Policy,
) -> Grade | _Open:
    """Grade as far as text goes."""
    boxes = find_boxes(response, policy)
    answer = boxes[-1] if boxes else ""
    if extra_info.get("truncated"):
        return Grade(Outcome.TRUNCATED, answer, "cut off at the length limit")
    try:
        right, spec = reference_text(reference), policy.spec(data_source, extra_info)
    except (TypeError, ValueError) as error:
        return Grade(Outcome.BAD_REFERENCE, answer, str(error))
    too_long = f"longer than {policy.max_answer_chars} characters"
    if len(right) > policy.max_answer_chars:
        return Grade(Outcome.BAD_REFERENCE, answer, f"the reference is {too_long}")
    if not answer:
        return Grade(Outcome.NO_ANSWER, "", "empty box" if boxes else "no box")
    answer = answer_of(boxes, right)
    if len(answer) > policy.max_answer_chars:
        return Grade(Outcome.TOO_LONG, answer, too_long)
    compared = compare(right, answer, spec)
    if compared.equal is None:
        question = Question(str(compared.reference), str(compared.answer), spec.tolerance)
        return _Open(answer, question)
    return Grade(Outcome.CORRECT if compared.equal else Outcome.WRONG, answer, compared.how)


_default_pool: Pool | None = None
_default_pool_lock = threading.Lock()


def default_pool() -> Pool:
    """Return the process's own pool, made at the first call and closed at exit."""
    global _default_pool
    with _default_pool_lock:
        if _default_pool is None:
            _default_pool = Pool()
            atexit.register(_default_pool.close)
        return _default_pool
