"""Geometry3K: school geometry with a diagram (image, multiple choice; MIT; OVR appendix A).

Layouts: ``{train,val,test}/<id>/{data.json,img_diagram.png}`` as in InterGPS's archives, and the
Hub's tables (images, problem, answer), which have no choices but the right one's value.
``annotat_text`` is the question in clean TeX; without the picture it is often incomplete ("Find
x.").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture, picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, number_or_none, texts
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "geometry3k"
ABOUT = About("Geometry3K", "image", "MIT", 3_002, hub="hiyouga/geometry3k")
FILES = (
    *(f"**/{split}/*/data.json" for split in ("train", "val", "test")),
    "**/*.parquet",
    "**/*.arrow",
)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if "problem" in raw.data:
        return _from_hub(raw)
    choices = texts(raw, "choices")
    letter = raw.field("answer").strip()
    if letter not in letters(len(choices)):
        raise RowError(f"the answer is not a choice's letter: {letter!r} of {len(choices)}")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("annotat_text"), choices, n_images=1),
        ground_truth=letter,
        images=[picture_at(raw, f"{PurePosixPath(raw.file).parent}/img_diagram.png")],
        ability="geometry",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )


def _from_hub(raw: RawRow) -> Sample:
    answer = raw.field("answer").strip()
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("problem"), n_images=1),
        ground_truth=answer,
        images=[picture(raw, image) for image in raw.field("images", list)],
        ability="geometry",
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )
