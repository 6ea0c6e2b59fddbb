"""How a grade came about, for people: `explain` a row, and see what each step made of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.policy import DEFAULT, Policy
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.rows import Row
from ovr_plugin.reward.score import Grade, Outcome, find_boxes, grade, reference_text
from ovr_plugin.reward.several import answer_of
from ovr_plugin.reward.spec import AnswerSpec


@dataclass(frozen=True)
class Explanation:
    """A grade and its steps.

    Attributes:
        grade: the grade itself.
        spec: what was known of the answer; None where the row's facts cannot be read.
        how: the rule that decided; '' where nothing was compared.
        forms: the reference and the answer as that rule read them; None where it gives none.
        trouble: why there are no forms of algebra, though it was asked.
        seconds: that grading took, without the start of workers.
    """

    grade: Grade
    spec: AnswerSpec | None
    how: str
    forms: tuple[str, str] | None
    trouble: str
    seconds: float


def explain(row: Row, policy: Policy = DEFAULT, *, pool: Pool) -> Explanation:
    """Grade a row and tell how.

    Raises:
        RuntimeError: if the pool is closed or a worker cannot start.
    """
    spec, reference = _read(row, policy)
    boxes = find_boxes(row.response, policy)
    answer = answer_of(boxes, reference) if boxes and reference else ""
    compared = _compare(reference, answer, spec, policy)
    if compared is not None and compared.equal is None:
        pool.check("x + x", "2x")  # the workers' start is nothing of the answer's
    started = time.perf_counter()
    graded = grade(
        row.response,
        row.reference,
        row.extra_info,
        data_source=row.data_source,
        policy=policy,
        pool=pool,
    )
    seconds = time.perf_counter() - started
    compared = _compare(reference, graded.extracted, spec, policy)
    if compared is None or graded.outcome is Outcome.TRUNCATED:
        return Explanation(graded, spec, "", None, "", seconds)
    forms, trouble = _forms(compared, pool)
    return Explanation(graded, spec, compared.how, forms, trouble, seconds)


def _read(row: Row, policy: Policy) -> tuple[AnswerSpec | None, str]:
    """What is known of the answer, and the reference; None where they cannot be read."""
    try:
        return policy.spec(row.data_source, row.extra_info), reference_text(row.reference)
    except (TypeError, ValueError):
        return None, ""


def _compare(
    reference: str, answer: str, spec: AnswerSpec | None, policy: Policy
) -> Comparison | None:
    """What text makes of it; None where there is nothing to compare."""
    if spec is None or not answer or max(len(reference), len(answer)) > policy.max_answer_chars:
        return None
    return compare(reference, answer, spec)


def _forms(compared: Comparison, pool: Pool) -> tuple[tuple[str, str] | None, str]:
    reference, answer = str(compared.reference), str(compared.answer)
    if compared.equal is not None:
        return ((reference, answer) if reference or answer else None), ""
    try:
        return pool.explain(reference, answer), ""
    except RuntimeError as error:
        return None, str(error)
