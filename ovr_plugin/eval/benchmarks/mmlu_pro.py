"""MMLU-Pro: 12,032 questions of 14 subjects, up to ten options (text; MIT).

Layout: the Hub's ``data/test-*.parquet`` (question, options, answer, answer_index, category).
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, literal_list, optional, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy


def to_item(raw: RawRow) -> Item:
    """One question; options that only fill up to ten are left out."""
    choices = [choice for choice in literal_list(raw, "options") if choice != "N/A"]
    return item(
        raw,
        "mmlu_pro",
        text(raw, "question"),
        letter(text(raw, "answer"), len(choices)),
        choices=choices,
        facts={"category": optional(raw, "category")},
    )


BENCHMARKS = [
    Benchmark(
        name="mmlu_pro",
        title="MMLU-Pro",
        license="MIT",
        sources=[Source(["**/test*.parquet", "**/*.jsonl"], to_item, hub="TIGER-Lab/MMLU-Pro")],
        scoring=Scoring(parts=accuracy("category")),
        paper=[Paper("accuracy", 51.7, 67.9)],
    )
]
