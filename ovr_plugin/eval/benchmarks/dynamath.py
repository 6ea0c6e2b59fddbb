"""DynaMath: 501 seed questions in ten variants each; the worst case counts (MIT).

Layouts: ``dataset/dataset.json`` (one variant of each, with its pictures) or one such folder for
each variant, ``sample_variant1`` to ``sample_variant10``, and the Hub's parquet files of the same
names. A seed question is right in the worst case only if all its variants are. With one variant
the two scores are the same.
"""

from __future__ import annotations

import re

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, optional, picture, text, within
from ovr_plugin.eval.scoring import Item, Scoring, same, worst_case

TOLERANCE = 0.001  # absolute, official; the references have three to four decimals
TYPES = {"float": "number", "int": "number", "multiple choice": "choice"}
VARIANT = re.compile(r"variant_?(\d+)")


def to_item(raw: RawRow) -> Item:
    """One variant of a seed question."""
    answer = text(raw, "ground_truth", "answer")
    kind = TYPES.get(optional(raw, "answer_type"))
    variant = VARIANT.search(raw.file)
    return item(
        raw,
        "dynamath",
        text(raw, "question"),
        answer,
        images=[picture(raw, "decoded_image", "image")],
        answer_type=kind,
        tolerance=within(answer, TOLERANCE) if kind == "number" else None,
        facts={
            "question": text(raw, "_key", "id"),
            "variant": variant[1] if variant else "1",
            "subject": optional(raw, "subject"),
        },
    )


LOCAL = ["**/sample_variant*.parquet", "**/sample_variant*/**/*.json", "**/dataset.json"]
HUB = "DynaMath/DynaMath_Sample"
VARIANTS = [f"sample_variant{number}" for number in range(1, 11)]
BENCHMARKS = [
    Benchmark(
        name="dynamath",
        title="DynaMath (worst case)",
        license="MIT",
        sources=[
            Source(
                LOCAL if number == 0 else [],  # a local folder is read once, whole
                to_item,
                hub=HUB,
                split=split,
                rows=json_or_table,
            )
            for number, split in enumerate(VARIANTS)
        ],
        scoring=Scoring(
            "worst case", unit=same("question"), parts=worst_case, groups=[same("question")]
        ),
        paper=[Paper("worst case", 21.8, 33.5)],
    )
]
