"""CLEVR: counting, comparing and attributes of rendered solids (image; CC BY 4.0; OVR appendix A).

Layouts: ``CLEVR_v1.0/questions/CLEVR_{train,val}_questions.json`` with pictures in
``images/<split>/`` (the test questions have no answers); the Hub's CLEVR tables (image, problem,
``<answer>`` in solution); and tables of question, image_path and ground_truth. Answers are yes or
no, a whole number, or a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at, picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of, number_or_none, tagged_answer
from ovr_plugin.data.readers._tables import RawRows, json_list, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "clevr"
ABOUT = About(
    "CLEVR",
    "image",
    "CC BY 4.0",
    849_980,
    hub="leonardPKU/clevr_cogen_a_train",
    unverified=("license",),
)
FILES = ("**/questions/CLEVR_*_questions.json", "**/*.parquet", "**/*.arrow", "**/*.jsonl")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    return read_files(root, FILES, _to_sample, _rows)


def _rows(root: Path, file: str) -> RawRows:
    if not file.endswith("_questions.json"):
        return table(root, file)
    if "_test_" in file:
        reason = "for evaluation only: the test questions have no answers"
        return iter([BadRow(str(root / file), None, reason)])
    return json_list(root, file, within="questions")


def _to_sample(raw: RawRow) -> Sample:
    question = raw.field(first_of(raw, "problem", "question"))
    given = raw.field(first_of(raw, "answer", "ground_truth", "solution"), (str, int))
    answer = tagged_answer(str(given))
    if not answer:
        raise RowError("no reference answer")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        ground_truth=answer,
        images=[_picture(raw)],
        ability="counting" if answer.isdigit() else "scene",
        id=raw.id(NAME),
        answer_type="yes_no" if answer.lower() in ("yes", "no") else number_or_none(answer),
    )


def _picture(raw: RawRow) -> ImageRef:
    if "image_filename" in raw.data:
        split = Path(raw.file).name.split("_")[1]
        return picture_at(raw, f"../images/{split}/{raw.field('image_filename')}")
    return picture_of(raw, first_of(raw, "image", "image_path"))
