"""Open-Reasoner-Zero's training questions (text; MIT), whose RL setting OVR adopts.

Layout: ``data/orz_math_*.json``, JSON lists of two turns each: the question, and the assistant's
turn with ``ground_truth.value`` in place of a text. Some questions show a picture by a link that
the corpus does not hold; nobody can answer them, so they are bad rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    convert,
    existing_files,
    json_list,
    number_or_none,
)
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample

NAME = "orz"
FILES = ("data/orz_math_*.json",)
PICTURE_LINK = re.compile(r"!\[[^\]]*\]\(")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every row of every training file under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(json_list(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    question, answer = _turns(raw)
    if PICTURE_LINK.search(question) or IMAGE_PLACEHOLDER in question:
        raise RowError("the question shows a picture that the corpus does not hold")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question),
        ground_truth=answer.strip(),
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )


def _turns(raw: RawRow) -> tuple[str, str]:
    if not isinstance(raw.data, list) or len(raw.data) != 2:
        raise RowError("the row is not a list of two turns")
    human, assistant = (RawRow(raw.root, raw.file, raw.row, turn) for turn in raw.data)
    truth = RawRow(raw.root, raw.file, raw.row, assistant.field("ground_truth", dict))
    return human.field("value"), truth.field("value")
