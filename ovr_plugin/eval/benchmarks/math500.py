"""MATH-500: the 500 problems of "Let's verify step by step" (text; MIT).

Layout: ``test.jsonl`` (problem, answer, subject, level, unique_id), as on the Hub.
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, optional, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy


def to_item(raw: RawRow) -> Item:
    """One problem."""
    facts = {"level": level(raw)}
    return item(raw, "math500", text(raw, "problem"), text(raw, "answer"), facts=facts)


def level(raw: RawRow) -> str:
    """``level 5``; copies of the set have it as a number or as "Level 5"."""
    found = optional(raw, "level").lower().removeprefix("level").strip()
    return f"level {found}" if found else ""


BENCHMARKS = [
    Benchmark(
        name="math500",
        title="MATH500",
        license="MIT",
        sources=[
            Source(["**/*.jsonl", "**/test*.parquet"], to_item, hub="HuggingFaceH4/MATH-500"),
        ],
        scoring=Scoring(parts=accuracy("level")),
        paper=[Paper("accuracy", 67.4, 95.3)],
    )
]
