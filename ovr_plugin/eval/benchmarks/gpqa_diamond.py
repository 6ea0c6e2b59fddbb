"""GPQA Diamond: 198 questions of doctoral level, four options (text; CC BY 4.0; gated on the Hub).

Layout: ``gpqa_diamond.csv`` or its parquet file (Question, Correct Answer, Incorrect Answer 1..3).
The right answer is always the first column: options are put in an order that a hash of the row's
question fixes, the same for every model and run. Please do not publish the questions in plain text.
"""

from __future__ import annotations

import hashlib

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.sample import letters
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, optional, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

COLUMNS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def to_item(raw: RawRow) -> Item:
    """One question with its options in a fixed order."""
    question = text(raw, "Question")
    options = [text(raw, column) for column in COLUMNS]
    order = sorted(range(4), key=lambda i: hashlib.sha256(f"{i} {question}".encode()).digest())
    return item(
        raw,
        "gpqa_diamond",
        question,
        letters(4)[order.index(0)],
        choices=[options[i] for i in order],
        facts={"domain": optional(raw, "High-level domain")},
    )


BENCHMARKS = [
    Benchmark(
        name="gpqa_diamond",
        title="GPQA Diamond",
        license="CC BY 4.0",
        sources=[
            Source(
                ["**/gpqa_diamond.csv", "**/gpqa_diamond*.parquet"],
                to_item,
                hub="Idavidrein/gpqa",
                config="gpqa_diamond",
                split="train",
            )
        ],
        scoring=Scoring(parts=accuracy("domain")),
        paper=[Paper("accuracy", 31.8, 49.8)],
    )
]
