"""NuminaMath-CoT and NuminaMath-1.5 (text; Apache-2.0; OVR appendix A).

Layout: the Hub's parquet files. CoT has the answer in the solution's only box; 1.5 has ``answer``,
in which "proof" and "notfound" say that there is none, and fields that mark invalid rows. Rows of
the ``amc_aime`` source may be of later years: decontaminate.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    convert,
    existing_files,
    last_box,
    number_or_none,
    table,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "numinamath"
FILES = ("**/train*.parquet", "**/train*.jsonl")
NO_ANSWER = ("proof", "notfound", "")
PROOF = "proof"


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every training row under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), to_sample)


def to_sample(raw: RawRow) -> Sample:
    """One problem; shared with OpenR1-Math, which is made of the same rows."""
    answer = _answer(raw)
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("problem")),
        ground_truth=answer,
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )


def _answer(raw: RawRow) -> str:
    for flag in ("problem_is_valid", "solution_is_valid"):
        if raw.data.get(flag) not in (None, "Yes"):
            raise RowError(f"marked as not valid: {flag} is {raw.data[flag]!r}")
    if str(raw.data.get("question_type") or "").lower() == PROOF:
        raise RowError("the answer is not verifiable: a proof")
    if raw.data.get("answer") is None:
        solution = raw.field("solution")
        if solution.count("\\boxed") > 1:
            raise RowError("the solution has several boxes: which is the answer is not known")
        return last_box(solution)
    answer: str = raw.field("answer").strip()
    if answer.lower() in NO_ANSWER:
        raise RowError(f"the answer is not verifiable: {answer or 'empty'}")
    return answer
