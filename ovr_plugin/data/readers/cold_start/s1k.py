"""s1K-1.1: a thousand questions with DeepSeek-R1's traces (text; MIT).

Layout: the Hub's table. Rows that the graders marked as wrong are bad rows; the first upload kept
the traces as lists of texts.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._traces import prompt_of, trace
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "s1k"
ABOUT = About("s1K-1.1", "text", "MIT", 1_000, "cold start", "simplescaling/s1K-1.1")


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every trace under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    if str(raw.data.get("deepseek_grade") or "Yes").lower() != "yes":
        raise RowError(f"the answer is wrong: deepseek_grade is {raw.data['deepseek_grade']!r}")
    response = trace(_text(raw, "deepseek_thinking_trajectory"), _text(raw, "deepseek_attempt"))
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(raw.field("question"), response),
        response=response,
        id=raw.id(NAME),
    )


def _text(raw: RawRow, name: str) -> str:
    value = raw.field(name, (str, list))
    if isinstance(value, str):
        return value
    if len(value) != 1 or not isinstance(value[0], str):
        raise RowError(f"not one text: {name!r} is {value!r:.60}")
    return str(value[0])
