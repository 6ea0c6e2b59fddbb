"""MathVista testmini: 1,000 questions of mathematics in pictures (CC BY-SA 4.0).

Layouts: ``data/testmini.json`` with ``images/<pid>.jpg``, and the Hub's parquet files. The official
query's hints (unit, decimals, integer, list) stand in the question. The official script rounds an
extracted number to the reference's decimals, which is half a unit of its last one; it also cuts
integers (10.9 counts as 10), which we do not.
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow, letter_of, texts
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, optional, picture, text, within
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

HINTS = {
    "integer": "The answer is an integer.",
    "list": "The answer is a Python list.",
}


def to_item(raw: RawRow) -> Item:
    """One question."""
    question, answer = text(raw, "question"), text(raw, "answer")
    metadata = raw.data.get("metadata") or {}
    facts = {"task": metadata.get("task"), "source": metadata.get("source")}
    image = picture(raw, "decoded_image", "image")
    if raw.data.get("choices"):
        choices = texts(raw, "choices")
        reference = letter_of(answer, choices)
        return item(
            raw, "mathvista", question, reference, choices=choices, images=[image], facts=facts
        )
    kind, unit = optional(raw, "answer_type"), optional(raw, "unit")
    n_decimals = int(float(optional(raw, "precision") or 0))
    parts = [question, f"(Unit: {unit})" if unit else "", HINTS.get(kind, "")]
    if kind == "float":
        parts.append(f"Give the answer with {n_decimals} decimals.")
    return item(
        raw,
        "mathvista",
        " ".join(part for part in parts if part),
        answer,
        images=[image],
        answer_type="number" if kind in ("integer", "float") else None,
        tolerance=within(answer, 0.5 * 10.0**-n_decimals) if kind == "float" else None,
        facts=facts,
    )


BENCHMARKS = [
    Benchmark(
        name="mathvista",
        title="MathVista",
        license="CC BY-SA 4.0",
        sources=[
            Source(
                ["**/testmini.json", "**/testmini*.parquet"],
                to_item,
                hub="AI4Math/MathVista",
                split="testmini",
                rows=json_or_table,
            )
        ],
        scoring=Scoring(parts=accuracy("task")),
        paper=[Paper("accuracy", 69.2, 72.1)],
        note="official: GPT-4 extracts and maps unmatched text to the nearest option",
    )
]
