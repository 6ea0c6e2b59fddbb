"""GeoQA: geometry of Chinese middle schools (image; OVR appendix A).

Layouts: ``GeoQA3/json/<split>/*.json`` with pictures in ``GeoQA3/image``, the Hub's GEOQA_R1V
tables (image, problem, ``<answer>`` in solution), and tables of image_path, question and
ground_truth. In the first the answer is the option that ``label``, from 0, points at. The authors'
pickles are refused: a pickle runs code when it is read; convert them to the first layout. UniGeo
is published as such pickles only: its calculation problems have GeoQA's fields and, converted, are
read; its proofs have no answer that a rule can judge and become bad rows. H-GEO's
rows, wrong solutions of GeoQA's questions, are no questions with an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at, picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    choice_at,
    first_of,
    number_or_none,
    tagged_answer,
    texts,
)
from ovr_plugin.data.readers._tables import TABLES, RawRows, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "geoqa"
ABOUT = About(
    "GeoQA",
    "image",
    "not stated",
    5_010,
    hub="leonardPKU/GEOQA_R1V_Train_8K",
    note="also UniGeo's calculation problems, from pickles converted to json/<split>/<id>.json",
)
FILES = ("**/json/*/*.json", *TABLES, "**/*.pk", "**/*.pkl")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, FILES, _to_sample, _rows)


def _rows(root: Path, file: str) -> RawRows:
    if not file.endswith((".pk", ".pkl")):
        return table(root, file)
    reason = "not read: a pickle runs code when it is read; convert it to json/<split>/<id>.json"
    return iter([BadRow(str(root / file), None, reason)])


def _to_sample(raw: RawRow) -> Sample:
    if isinstance(raw.data, dict) and "proving_sequence" in raw.data:
        raise RowError("a proof: no rule can judge an answer (UniGeo)")
    name = first_of(raw, "subject", "problem", "question", "messages")
    if name == "subject":
        return _to_choice(raw)
    if name == "messages":
        raise RowError("not a question with an answer: a wrong solution to be mended (H-GEO)")
    answer = tagged_answer(str(raw.field(first_of(raw, "solution", "ground_truth"), (str, int))))
    if not answer:
        raise RowError("no reference answer")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field(name), n_images=1),
        ground_truth=answer,
        images=[picture_of(raw, first_of(raw, "image", "image_path"))],
        ability="geometry",
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )


def _to_choice(raw: RawRow) -> Sample:
    choices = texts(raw, "choices")
    # "lable" is how some of the authors' files spell it.
    letter = choice_at(raw.field(first_of(raw, "label", "lable"), int), choices)
    split = PurePosixPath(raw.file).parent
    picture = split.parent.parent / "image" / f"{raw.field('id', (int, str))}.png"
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("subject"), choices, n_images=1),
        ground_truth=letter,
        images=[picture_at(raw, picture.as_posix())],
        ability="geometry",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )
