"""ChartQA: questions about charts (image; GPL-3.0; OVR appendix A).

Layouts: ``ChartQA Dataset/{train,val}/<split>_{human,augmented}.json`` with the pictures in
``png/``, or the Hub's tables (image, query, label; or image, question, answer). Numbers are read
off a chart or rounded: the official score allows 5 %, which every numeric row has as its tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at, picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of, number_or_none
from ovr_plugin.data.sample import BadRow, Sample

NAME = "chartqa"
ABOUT = About(
    "ChartQA", "image", "GPL-3.0", 32_719, hub="HuggingFaceM4/ChartQA", unverified=("license",)
)
FILES = ("**/*_human.json", "**/*_augmented.json", "**/*.parquet", "**/*.arrow", "**/*.jsonl")
TOLERANCE = 0.05  # relative, ChartQA's "relaxed accuracy"
# Characters that were lost; question marks at the end are only typed twice.
DAMAGED = re.compile(r"\ufffd|\?\?(?=.*\w)", re.DOTALL)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    question = raw.field(first_of(raw, "query", "question"))
    if DAMAGED.search(question):
        raise RowError(f"the question is damaged: {question!r:.80}")
    label = raw.field(first_of(raw, "label", "answer"), (str, list))
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
