"""Tulu 3's MATH rows for RL with verifiable rewards (text; OVR appendix A).

Layout: the Hub's allenai/RLVR-MATH: ``messages`` of one user turn, ``ground_truth``, ``dataset``.
The turn begins with worked examples ("Question: ... Answer: ..."); only the last question is kept.
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
    number_or_none,
    table,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "tulu3_math"
FILES = ("**/*.parquet", "**/*.jsonl")
QUESTION, ANSWER = "Question:", "Answer:"


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every row of the MATH part under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if raw.field("dataset") != "MATH":
        raise RowError(f"not of the MATH part: dataset is {raw.data['dataset']!r}")
    turns = raw.field("messages", list)
    user = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if len(user) != 1 or not isinstance(user[0].get("content"), str):
        raise RowError("the row has not one user turn")
    question = user[0]["content"].rpartition(QUESTION)[2].strip().removesuffix(ANSWER).strip()
    answer = raw.field("ground_truth").strip()
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question),
        ground_truth=answer,
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )
