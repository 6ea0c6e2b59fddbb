"""MMLU: 14,042 questions of 57 subjects, four options (text; MIT).

Layouts: ``data/mmlu/test/<subject>_test.csv`` without a header (question, A to D, letter), and the
Hub's parquet files (question, choices, answer 0 to 3, subject). Zero-shot, as all here; the score
is over all questions, not the mean of subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import headless_csv
from ovr_plugin.data.sample import BadRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, literal_list, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy


def csv_rows(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of one subject, under the Hub's names."""
    subject = Path(file).name.removesuffix("_test.csv")
    for raw in headless_csv(root, file):
        if isinstance(raw, BadRow) or len(raw.data) != 6:
            yield raw  # a row of another length has no field of the Hub's
            continue
        question, *choices, answer = raw.data
        data = {"question": question, "choices": choices, "answer": answer, "subject": subject}
        yield RawRow(root, file, raw.row, data)


def to_item(raw: RawRow) -> Item:
    """One question."""
    if not isinstance(raw.data, dict):
        raise RowError(f"not a question, four options and a letter: {len(raw.data)} columns")
    choices = literal_list(raw, "choices")
    answer = raw.data.get("answer")
    return item(
        raw,
        "mmlu",
        text(raw, "question"),
        letter(answer, len(choices)),
        choices=choices,
        facts={"subject": text(raw, "subject")},
    )


BENCHMARKS = [
    Benchmark(
        name="mmlu",
        title="MMLU",
        license="MIT",
        sources=[
            Source(["**/*_test.csv"], to_item, hub="cais/mmlu", config="all", rows=csv_rows),
        ],
        scoring=Scoring(parts=accuracy("subject")),
        paper=[Paper("accuracy", 69.6, 77.2)],
    )
]
