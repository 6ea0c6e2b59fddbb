"""PhyX: 3,000 problems of physics with a picture, here with four options (MIT).

Layouts: ``PhyX_mini_MC.tsv`` and ``PhyX_mc.tsv`` as the authors publish them for VLMEvalKit, and
the Hub's parquet files (index, question with its options, answer, image in base64, category). It
is the mini set of 1,000, which the authors' leaderboard uses; the paper does not say which it ran.
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
    """One problem; its options are in columns or in the question."""
    images, question = [picture(raw, "image")], text(raw, "question")
    choices = lettered_options(raw, "ABCD") if optional(raw, "A") else []
    answer = letter(text(raw, "answer").partition(":")[0], len(choices) or 4)
    return item(
        raw,
        "phyx",
        question,
        answer,
        choices=choices,
        images=images,
        answer_type="choice",
        ability="perception",
        facts={"category": optional(raw, "category")},
    )


BENCHMARKS = [
    Benchmark(
        name="phyx",
        title="PhyX",
        license="MIT",
        sources=[
            Source(
                ["**/PhyX_mini_MC.tsv", "**/phyx_mini_mc*.parquet", "**/PhyX_mc.tsv"],
                to_item,
                hub="Cloudriver/PhyX",
                config="data_for_llms_eval",
                split="phyx_mini_mc",
            )
        ],
        scoring=Scoring(parts=accuracy("category")),
        paper=[Paper("accuracy", 37.5, 50.0, cold_start=47.7)],
    )
]
