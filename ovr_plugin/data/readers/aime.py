"""AIME 1983 to 2023 (text; the problems are MAA's; OVR appendix A: "AIME up to 2023").

Layouts: ``aime.json`` of DeepScaleR (problem, answer, year) and the Hub's aimo-validation-aime
(problem or question, answer, url, whose path names the year). Later years are evaluation sets, so
that a row without a year is a bad row. Answers are whole numbers, some with leading zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "aime"
ABOUT = About("AIME 1983-2023", "text", "MIT (the problems: MAA)", 975)
LAST_YEAR = 2023
YEAR_IN_URL = re.compile(r"/((?:19|20)\d\d)_AIME")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if isinstance(raw.data, dict):  # the Hub's AIME_1983_2024 writes Year, Question, Answer
        raw = replace(raw, data={str(key).lower(): value for key, value in raw.data.items()})
    year = _year(raw)
    if year > LAST_YEAR:
        raise RowError(f"for evaluation only: AIME {year} is later than {LAST_YEAR}")
    answer = str(raw.field("answer", (str, int))).strip()
    if not (answer.isascii() and answer.isdigit()):
        raise RowError(f"the answer is not a whole number: {answer!r:.60}")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field(first_of(raw, "problem", "question"))),
        ground_truth=str(int(answer)),
        id=raw.id(NAME),
        answer_type="number",
    )


def _year(raw: RawRow) -> int:
    if first_of(raw, "year", "url") == "year":
        year = str(raw.field("year", (int, str))).strip()
        if not re.fullmatch(r"(19|20)\d\d", year):
            raise RowError(f"no year: it may be a problem for evaluation: {year!r:.60}")
        return int(year)
    found = YEAR_IN_URL.search(raw.field("url"))
    if found is None:
        raise RowError("no year: it may be a problem for evaluation")
    return int(found[1])
