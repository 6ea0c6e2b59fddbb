r"""Answers that graders got wrong, one row each, and the labelled corpora of others.

``tests/cases/<origin>.jsonl`` holds one JSON object a line:

=============  =====================================================================================
``reference``  the right answer, as a dataset has it (any JSON value)
``answer``     what is put into ``\boxed{}``; or ``response``, the whole text of a model
``extra_info`` what the row knows (`ovr_plugin.reward.spec`); may be left out, as may
``policy``     settings of `ovr_plugin.reward.policy.Policy`
``outcome``    where only this one will do
``score``      1 or 0
``origin``     where it was seen: an issue, a pull request, a corpus
``why``        what the row guards against
=============  =====================================================================================

A new failure from the wild becomes a row; nothing else has to change. The corpora of
``../shared/cases`` are graded where they are there (see the README beside them).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_cases import read_rows, report

from ovr_plugin.reward import Grade, Outcome, Pool, grade
from ovr_plugin.reward.policy import Policy

CASES = Path(__file__).resolve().parent.parent / "cases"
LABELLED = (
    *("adversarial", "benchmark_gold_self", "mathverify_lighteval_tests", "mathvision_outputs"),
    *("mathvista_outputs", "mmmu_pro_gpt4o", "orz_self", "qwen_math_rm", "theoremqa_outputs"),
    *("tora_gsm8k", "unit_tests_misc"),
)
KEYS = {"reference", "answer", "response", "extra_info", "policy", "outcome", "score", "origin"}


def read_table(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def cases() -> list[Any]:
    """Every row as a parameter, named by its table, line, reference and answer."""
    found = []
    for path in sorted(CASES.glob("*.jsonl")):
        for line, row in enumerate(read_table(path), 1):
            text = f"{row['reference']}|{row.get('answer', row.get('response'))}"
            found.append(pytest.param(row, id=f"{path.stem}:{line}:{text[:60]!a}"))
    return found


def grade_row(row: dict[str, Any], pool: Pool) -> Grade:
    response = row["response"] if "response" in row else rf"\boxed{{{row['answer']}}}"
    policy = Policy(**row.get("policy", {}))
    return grade(response, row["reference"], row.get("extra_info"), policy=policy, pool=pool)


@pytest.mark.parametrize("row", cases())
def test_case(row: dict[str, Any], reward_pool: Pool) -> None:
    graded = grade_row(row, reward_pool)
    assert graded.score == row["score"], (graded, row["why"])
    assert graded.outcome.value == row.get("outcome", graded.outcome.value), row["why"]
    assert graded.outcome is not Outcome.ERROR, graded.reason


def test_every_row_is_whole_and_stands_once() -> None:
    seen = set()
    for path in sorted(CASES.glob("*.jsonl")):
        for line, row in enumerate(read_table(path), 1):
            where = f"{path.name}:{line}"
            assert set(row) - {"why"} <= KEYS, where
            assert ("answer" in row) != ("response" in row), where
            assert row["score"] in (0, 1), where
            assert row["origin"], where
            assert row["why"], where
            asked = json.dumps(
                {key: row[key] for key in sorted(row) if key not in ("origin", "why")}
            )
            assert asked not in seen, where
            seen.add(asked)
    assert len(seen) > 2000


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_corpus(name: str, shared: Path, reward_pool: Pool) -> None:
    """No wrong answer of others' models is graded right, and next to no right one wrong."""
    headline, _ = report(read_rows(shared / "cases" / f"{name}.jsonl.gz"), reward_pool)
    right_ones_missed = [(row["gold"], found) for row, found in headline.missed if row["label"]]
    assert headline.false_positives == 0, headline.missed
    assert len(right_ones_missed) <= 0.01 * headline.n_rows, right_ones_missed
