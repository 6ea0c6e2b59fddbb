"""PuzzleVQA: abstract patterns with a missing part (image, multiple choice; MIT; OVR appendix A).

Layout: ``PuzzleVQA/data/<category>.json``, which are JSON Lines, and the pictures they name. The
answer is the text of an option; numbers and strings are mixed in both, so all become strings.
``caption``, ``explanation`` and ``deduction`` give the answer away and are not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    convert,
    existing_files,
    json_lines,
    letter_of,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "puzzlevqa"
FILES = ("PuzzleVQA/data/*.json",)


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every row of every category under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(json_lines(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    options = raw.field("options", list)
    if not all(isinstance(option, str | int) for option in options):
        raise RowError(f"an option is neither text nor whole number: {options}")
    choices = [str(option) for option in options]
    picture = (raw.root / raw.file).parent / raw.field("image")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("question"), choices, n_images=1),
        ground_truth=letter_of(str(raw.field("answer", (str, int))), choices),
        images=[ImageRef(path=str(picture.absolute()))],
        ability="puzzle",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )
