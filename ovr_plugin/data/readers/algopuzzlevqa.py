"""AlgoPuzzleVQA: algorithmic puzzles with a picture (image, multiple choice; MIT; OVR appendix A).

Layout: ``AlgoPuzzleVQA/data/<category>.json``, which are JSON Lines, and the pictures they name.
The answer is the text of an option; ``solution`` gives it away and is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    convert,
    existing_files,
    json_lines,
    letter_of,
    picture_of,
    texts,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "algopuzzlevqa"
FILES = ("AlgoPuzzleVQA/data/*.json",)


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every row of every category under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(json_lines(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    choices = texts(raw, "options")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("question"), choices, n_images=1),
        ground_truth=letter_of(str(raw.field("answer", (str, int))).strip(), choices),
        images=[picture_of(raw)],
        ability="puzzle",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )
