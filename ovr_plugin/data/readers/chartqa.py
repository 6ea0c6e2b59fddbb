"""ChartQA: questions about charts (image; GPL-3.0; OVR appendix A).

Layouts: ``ChartQA Dataset/{train,val}/<split>_{human,augmented}.json`` with the pictures in
``png/``, or the Hub's parquet files (image, query, label). Numbers are read off a chart or rounded:
the official score allows 5 %, which every numeric row carries as its tolerance.
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
    number_or_none,
    picture_at,
    picture_of,
    table,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "chartqa"
FILES = ("**/*_human.json", "**/*_augmented.json", "**/*.parquet")
TOLERANCE = 0.05  # relative, ChartQA's "relaxed accuracy"
DAMAGED = ("\ufffd", "??")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every row under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    question = raw.field("query")
    if any(mark in question for mark in DAMAGED):
        raise RowError(f"the question is damaged: {question!r:.80}")
    label = raw.field("label", (str, list))
    answers = label if isinstance(label, list) else [label]
    if len(answers) != 1 or not isinstance(answers[0], str):
        raise RowError(f"not exactly one answer: {label!r:.60}")
    answer = answers[0].strip()
    kind = number_or_none(answer)
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        ground_truth=answer,
        images=[_picture(raw)],
        ability="chart",
        id=raw.id(NAME),
        answer_type=kind,
        tolerance=TOLERANCE if kind else None,
    )


def _picture(raw: RawRow) -> ImageRef:
    if "imgname" in raw.data:
        return picture_at(raw, f"png/{raw.field('imgname')}")
    return picture_of(raw)
