"""CLEVR: counting, comparing and attributes of rendered solids (image; CC BY 4.0; OVR appendix A).

Layouts: ``CLEVR_v1.0/questions/CLEVR_{train,val}_questions.json`` with pictures in
``images/<split>/``; the Hub's CLEVR tables (image, problem, ``<answer>`` in solution); and tables
of question, image_path and ground_truth. Answers are yes or no, a whole number, or a word.
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
    json_object,
    number_or_none,
    picture_at,
    picture_of,
    table,
    tagged_answer,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "clevr"
QUESTIONS = ("**/questions/CLEVR_train_questions.json", "**/questions/CLEVR_val_questions.json")
TABLES = ("**/*.parquet", "**/*.jsonl")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every question with an answer under ``root``."""
    for file in existing_files(root, (*QUESTIONS, *TABLES)):
        rows = _questions(root, file) if file.endswith(".json") else table(root, file)
        yield from convert(rows, _to_sample)


def _questions(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    for whole in json_object(root, file):
        if isinstance(whole, BadRow):
            yield whole
            return
        try:
            questions = whole.field("questions", list)
        except RowError as error:
            yield BadRow(str(root / file), None, str(error))
            return
        for row, question in enumerate(questions):
            yield RawRow(root, file, row, question)


def _to_sample(raw: RawRow) -> Sample:
    question = raw.field("problem" if "problem" in raw.data else "question")
    answer = _answer(raw)
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        ground_truth=answer,
        images=[_picture(raw)],
        ability="counting" if answer.isdigit() else "scene",
        id=raw.id(NAME),
        answer_type="yes_no" if answer.lower() in ("yes", "no") else number_or_none(answer),
    )


def _answer(raw: RawRow) -> str:
    for name in ("answer", "ground_truth", "solution"):
        if name in raw.data:
            return tagged_answer(str(raw.field(name, (str, int))))
    raise RowError("field missing: 'answer'")


def _picture(raw: RawRow) -> ImageRef:
    if "image_filename" in raw.data:
        split = Path(raw.file).name.split("_")[1]
        return picture_at(raw, f"../images/{split}/{raw.field('image_filename')}")
    return picture_of(raw, "image" if "image" in raw.data else "image_path")
