"""LIMO: 817 problems with long written solutions of several teachers (text; Apache-2.0).

Layout: JSON Lines question, solution, answer; or LLaMA-Factory's instruction, output. A solution is
thinking and answer in one text without tags, and stays so.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._traces import prompt_of
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "limo"
ABOUT = About("LIMO", "text", "Apache-2.0", 817, "cold start", "GAIR/LIMO")


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every solution under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    question = raw.field(first_of(raw, "question", "instruction"))
    response = raw.field(first_of(raw, "solution", "output")).strip()
    if not response:
        raise RowError("no solution")
    answer = raw.data.get("answer")
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(question, response),
        response=response,
        id=raw.id(NAME),
        ground_truth=None if answer is None else str(answer).strip() or None,
    )
