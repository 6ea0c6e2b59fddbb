"""Open-Reasoner-Zero's training questions (text; MIT), whose RL setting OVR adopts.

Layout: ``orz_math_*.json``, JSON lists of two turns each: the question, and the assistant's turn
with ``ground_truth.value`` in place of a text. Some questions show a picture by a link that the
corpus does not hold; nobody can answer them, so they are bad rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample

NAME = "orz"
ABOUT = About(
    "Open-Reasoner-Zero",
    "text",
    "MIT",
    142_000,
    hub="Open-Reasoner-Zero/orz_math_57k_collection",
    unverified=("n_rows", "hub"),
)
FILES = ("**/*orz_math_*.json", "**/*orz_math_*.jsonl", "**/*.parquet", "**/*.arrow")
PICTURE_LINK = re.compile(r"!\[[^\]]*\]\(")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row of every training file under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    question, answer = _turns(raw)
    if PICTURE_LINK.search(question) or IMAGE_PLACEHOLDER in question:
        raise RowError("the question shows a picture that the corpus does not hold")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question),
        id=raw.id(NAME),
        **answer_facts(question, answer),
    )


def _turns(raw: RawRow) -> tuple[str, str]:
    turns = raw.data
    if isinstance(turns, dict) and set(turns) == {"0", "1"}:  # how the Hub shows such a list
        turns = [turns["0"], turns["1"]]
    if not isinstance(turns, list) or len(turns) != 2:
        raise RowError("the row is not a list of two turns")
    human, assistant = (RawRow(raw.root, raw.file, raw.row, turn) for turn in turns)
    truth = assistant.field("ground_truth", dict)
    return human.field("value"), RawRow(raw.root, raw.file, raw.row, truth).field("value")
