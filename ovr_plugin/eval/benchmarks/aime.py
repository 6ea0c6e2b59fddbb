"""AIME 2024 and 2025, I and II: 30 problems a year, answers 0 to 999 (text; no license stated).

Layouts: JSON Lines (problem or question, answer) and the Hub's parquet files, in a folder for each
year: ``aime24`` and ``aime25``.
"""

from __future__ import annotations

from collections.abc import Callable

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, text
from ovr_plugin.eval.scoring import Item


def _to_item(name: str) -> Callable[[RawRow], Item]:
    def to_item(raw: RawRow) -> Item:
        answer = text(raw, "answer")
        if not answer.isdecimal() or int(answer) > 999:
            raise RowError(f"not an answer of the AIME, 0 to 999: {answer!r}")
        # "073" on the answer sheet is 73.
        question = text(raw, "problem", "question")
        return item(raw, name, question, str(int(answer)), answer_type="number")

    return to_item


FILES = ["**/*.jsonl", "**/*.parquet"]
BENCHMARKS = [
    Benchmark(
        name="aime24",
        title="AIME 2024",
        license="none stated",
        sources=[Source(FILES, _to_item("aime24"), hub="HuggingFaceH4/aime_2024", split="train")],
        paper=[Paper("accuracy", 6.7, 63.5)],
    ),
    Benchmark(
        name="aime25",
        title="AIME 2025",
        license="none stated",
        sources=[
            Source(FILES, _to_item("aime25"), hub="opencompass/AIME2025", config="AIME2025-I"),
            # A local folder holds both halves; it is read with the first.
            Source([], _to_item("aime25"), hub="opencompass/AIME2025", config="AIME2025-II"),
        ],
        paper=[Paper("accuracy", 6.7, 52.1)],
    ),
]
