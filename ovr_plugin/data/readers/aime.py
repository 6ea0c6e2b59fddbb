"""AIME 1983 to 2023 (text; the problems are MAA's; OVR appendix A: "AIME up to 2023").

Layouts: ``aime.json`` of DeepScaleR (problem, answer, year) and the Hub's aimo-validation-aime
(problem or question, answer, url, whose path names the year). Later years are evaluation sets, so
that a row without a year is a bad row. Answers are whole numbers, some with leading zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import RawRow, RowError, convert, existing_files, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "aime"
FILES = ("**/*aime*.json", "**/*aime*.jsonl", "**/*.parquet")
LAST_YEAR = 2023
YEAR_IN_URL = re.compile(r"/((?:19|20)\d\d)_AIME")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    year = _year(raw)
    if year > LAST_YEAR:
        raise RowError(f"for evaluation only: AIME {year} is later than {LAST_YEAR}")
    question = raw.field("problem" if "problem" in raw.data else "question")
    answer = str(raw.field("answer", (str, int))).strip()
    if not answer.isdigit():
        raise RowError(f"the answer is not a whole number: {answer!r}")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question),
        ground_truth=str(int(answer)),
        id=raw.id(NAME),
        answer_type="number",
    )


def _year(raw: RawRow) -> int:
    if "year" in raw.data:
        return int(raw.field("year", (int, str)))
    found = YEAR_IN_URL.search(raw.field("url"))
    if found is None:
        raise RowError("no year: it may be a problem for evaluation")
    return int(found[1])
