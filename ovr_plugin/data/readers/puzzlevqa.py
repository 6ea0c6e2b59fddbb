"""PuzzleVQA: abstract patterns with a missing part (image, multiple choice; MIT; OVR appendix A).

Layout: ``PuzzleVQA/data/<category>.json``, which are JSON Lines, and the pictures they name, or the
Hub's tables. The answer is the text of an option; numbers and strings are mixed in both, so all
become strings. ``caption``, ``explanation`` and ``deduction`` give the answer away and are not
used.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, letter_of, texts
from ovr_plugin.data.readers._tables import jsonl_or_table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "puzzlevqa"
ABOUT = About("PuzzleVQA", "image", "MIT", 2_000, hub="declare-lab/PuzzleVQA")
FILES = ("**/PuzzleVQA/data/*.json", "data/*.json", "*.json", "**/*.parquet", "**/*.arrow")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row of every category under ``root``."""
    return read_files(root, FILES, _to_sample, jsonl_or_table)


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
