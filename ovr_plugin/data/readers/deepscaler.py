r"""DeepScaleR-Preview: AIME, AMC, Omni-MATH and STILL problems (text; MIT).

Layouts: the Hub's table (problem, answer, solution), and veRL's columns (prompt, reward_model), in
which an instruction is glued to the question; it is cut off, since ours takes its place. Some
problems occur several times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "deepscaler"
ABOUT = About(
    "DeepScaleR-Preview", "text", "MIT", 40_315, hub="agentica-org/DeepScaleR-Preview-Dataset"
)
# veRL's own scripts glue one of these to every question.
INSTRUCTION = re.compile(
    r"\s*(?:Let's think step by step and|Please reason step by step,? and)\s+(?:output|put) "
    r"(?:the|your) final answer (?:with)?in \\boxed\{\}\.?\s*$",
    re.IGNORECASE,
)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if first_of(raw, "problem", "prompt") == "problem":
        problem, answer = raw.field("problem"), str(raw.field("answer", (str, int, float)))
    else:
        problem, answer = _from_verl(raw)
    if not answer.strip():
        raise RowError("no reference answer")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(problem),
        id=raw.id(NAME),
        **answer_facts(problem, answer),
    )


def _from_verl(raw: RawRow) -> tuple[str, str]:
    turns = raw.field("prompt", list)
    truth = raw.field("reward_model", dict).get("ground_truth")
    user = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if len(user) != 1 or not isinstance(user[0].get("content"), str):
        raise RowError("the row has not one user turn")
    if not isinstance(truth, str | int | float) or isinstance(truth, bool):
        raise RowError(f"field of the wrong type: 'ground_truth' is {truth!r:.60}")
    return INSTRUCTION.sub("", user[0]["content"]), str(truth)
