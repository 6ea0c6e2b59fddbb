"""Tulu 3's MATH rows for RL with verifiable rewards (text; OVR appendix A).

Layout: the Hub's allenai/RLVR-MATH: ``messages`` of one user turn, ``ground_truth``, ``dataset``.
The turn begins with worked examples ("Question: ... Answer: ..."); only the last question is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "tulu3_math"
ABOUT = About(
    "Tulu 3 RLVR-MATH",
    "text",
    "not stated (its mix: ODC-BY; MATH: MIT)",
    7_500,
    hub="allenai/RLVR-MATH",
)
QUESTION, ANSWER = "Question:", "Answer:"


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row of the MATH part under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if raw.field("dataset").upper() != "MATH":
        raise RowError(f"not of the MATH part: dataset is {raw.data['dataset']!r}")
    turns = raw.field("messages", list)
    user = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if len(user) != 1 or not isinstance(user[0].get("content"), str):
        raise RowError("the row has not one user turn")
    question = user[0]["content"].rpartition(QUESTION)[2].strip().removesuffix(ANSWER).strip()
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question),
        id=raw.id(NAME),
        **answer_facts(question, raw.field("ground_truth")),
    )
