"""OpenR1-Math-220k's traces of DeepSeek-R1 (text; Apache-2.0).

Layout: the Hub's tables. A row has two to four ``generations``, some wrong or cut; the first that
is complete and that math-verify or the judge found right is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import TABLES, RawRows, table
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_trace
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "openr1"
ABOUT = About(
    "OpenR1-Math-220k, traces",
    "text",
    "Apache-2.0",
    225_129,
    "cold start",
    "open-r1/OpenR1-Math-220k",
)
RIGHT = ("correctness_math_verify", "correctness_llama")
FIELDS = ("problem", "answer", "generations", "is_reasoning_complete", "finish_reasons", *RIGHT)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """One trace of every problem under ``root``."""
    return read_files(root, TABLES, _to_sample, _rows)


def _rows(root: Path, file: str) -> RawRows:
    return table(root, file, FIELDS)


def _to_sample(raw: RawRow) -> ColdStartSample:
    response = read_trace(_chosen(raw))
    answer = raw.data.get("answer")
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(raw.field("problem"), response),
        response=response,
        id=raw.id(NAME),
        ground_truth=answer if isinstance(answer, str) and answer.strip() else None,
    )


def _chosen(raw: RawRow) -> str:
    generations = raw.field("generations", list)
    for place, text in enumerate(generations):
        complete = _at(raw, "is_reasoning_complete", place) is not False
        cut = _at(raw, "finish_reasons", place) == "length"
        right = any(_at(raw, name, place) is True for name in RIGHT)
        if right and complete and not cut and isinstance(text, str):
            return text
    raise RowError(f"no generation is both complete and right: of {len(generations)}")


def _at(raw: RawRow, name: str, place: int) -> Any:
    values = raw.data.get(name)
    return values[place] if isinstance(values, list) and place < len(values) else None
