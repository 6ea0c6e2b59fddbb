"""MATH (Hendrycks et al., text; MIT; OVR appendix A).

Layouts: the authors' ``MATH/train/<subject>/<n>.json``, one problem a file, or a table with the
same fields. The answer is the last box of the solution. The test half holds MATH-500.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    convert,
    existing_files,
    json_object,
    last_box,
    number_or_none,
    table,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "math"
FILES = ("**/train/*/*.json", "**/test/*/*.json", "**/*.jsonl", "**/*.parquet")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        rows = json_object if file.endswith(".json") else table
        yield from convert(rows(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    answer = last_box(raw.field("solution"))
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("problem")),
        ground_truth=answer,
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )
