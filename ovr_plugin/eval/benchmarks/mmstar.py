"""MMStar: 1,500 questions that need their picture, four options (license not stated).

Layouts: the Hub's ``val*.parquet`` (question, image, answer, category) and VLMEvalKit's
``MMStar.tsv``. The options stand in the question: "Options: A: ..., B: ...".
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import (
    item,
    letter,
    lettered_options,
    optional,
    picture,
    text,
)
from ovr_plugin.eval.scoring import Item, Scoring, accuracy


def to_item(raw: RawRow) -> Item:
    """One question."""
    facts = {"category": optional(raw, "category")}
    images, question = [picture(raw, "image")], text(raw, "question")
    answer = letter(text(raw, "answer"), 4)
    return item(
        raw,
        "mmstar",
        question,
        answer,
        choices=lettered_options(raw, "ABCD") if optional(raw, "A") else [],
        images=images,
        answer_type="choice",
        ability="perception",
        facts=facts,
    )


BENCHMARKS = [
    Benchmark(
        name="mmstar",
        title="MMStar",
        license="not stated",
        sources=[
            Source(["**/val*.parquet", "**/*.tsv"], to_item, hub="Lin-Chen/MMStar", split="val")
        ],
        scoring=Scoring(parts=accuracy("category")),
        paper=[Paper("accuracy", 62.1, 62.7, cold_start=62.4)],
    )
]
