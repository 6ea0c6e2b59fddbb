"""GeoQA: geometry of Chinese middle schools (image; OVR appendix A).

Layouts: ``GeoQA3/json/<split>/*.json`` with pictures in ``GeoQA3/image`` (convert the authors'
pickles to these: a pickle runs code when it is read, so this reader takes none), the Hub's
GEOQA_R1V tables (image, problem, ``<answer>`` in solution), and tables of image_path, question and
ground_truth. In the first the answer is the option that ``label``, from 0, points at.
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
    json_object,
    picture_at,
    picture_of,
    table,
    tagged_answer,
    texts,
)
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "geoqa"
FILES = ("**/json/*/*.json", "**/*.parquet", "**/*.jsonl")
LABELS = ("label", "lable")  # the second is how some of the authors' files spell it


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        if file.endswith(".json"):
            yield from convert(json_object(root, file), _to_choice)
        else:
            yield from convert(table(root, file), _to_answer)


def _to_choice(raw: RawRow) -> Sample:
    choices = texts(raw, "choices")
    label = next((name for name in LABELS if name in raw.data), LABELS[0])
    index = raw.field(label, int)
    if not 0 <= index < len(choices):
        raise RowError(f"the label is not one of the choices: {index} of {len(choices)}")
    picture = f"../../image/{raw.field('id', (int, str))}.png"
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("subject"), choices, n_images=1),
        ground_truth=letters(len(choices))[index],
        images=[picture_at(raw, picture)],
        ability="geometry",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )


def _to_answer(raw: RawRow) -> Sample:
    hub = "problem" in raw.data
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("problem" if hub else "question"), n_images=1),
        ground_truth=tagged_answer(raw.field("solution" if hub else "ground_truth")),
        images=[picture_of(raw, "image" if hub else "image_path")],
        ability="geometry",
        id=raw.id(NAME),
    )
