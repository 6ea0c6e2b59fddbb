"""NuminaMath-CoT and NuminaMath-1.5 (text; Apache-2.0; OVR appendix A).

Layout: the Hub's parquet files. CoT has the answer in the solution's only box; 1.5 has ``answer``,
in which "proof" and "notfound" say that there is none, and fields that mark invalid rows. Rows of
the ``amc_aime`` source may be of later years: decontaminate.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, last_box
from ovr_plugin.data.readers._tables import TABLES, RawRows, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "numinamath"
ABOUT = About(
    "NuminaMath",
    "text",
    "Apache-2.0",
    896_215,
    hub="AI-MO/NuminaMath-1.5",
    unverified=("n_rows",),
)
NO_ANSWER = ("proof", "notfound", "not found", "")
PROOF = "proof"
VALID = ("yes", "true")
FLAGS = ("problem_is_valid", "solution_is_valid")
# The traces beside the problems, tens of thousands of characters a row, need not be read.
FIELDS = ("problem", "solution", "answer", "question_type", *FLAGS)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row under ``root``."""
    return read_files(root, TABLES, to_sample, rows)


def rows(root: Path, file: str) -> RawRows:
    """The rows of a file, without the columns that are not used here."""
    return table(root, file, FIELDS)


def to_sample(raw: RawRow) -> Sample:
    """One problem; shared with OpenR1-Math, which is made of the same rows."""
    problem = raw.field("problem")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(problem),
        id=raw.id(NAME),
        **answer_facts(problem, _answer(raw)),
    )


def _answer(raw: RawRow) -> str:
    for flag in FLAGS:
        if (
            str(raw.data.get(flag) if raw.data.get(flag) is not None else "yes").lower()
            not in VALID
        ):
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
