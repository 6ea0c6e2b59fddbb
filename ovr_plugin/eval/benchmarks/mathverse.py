"""MathVerse testmini: 788 problems in five versions that move text into the picture (MIT).

Layouts: ``testmini.json`` with ``images/``, the Hub's parquet files; ``testmini_text_only.json``
has a sixth version without pictures. Options stand in the question, and in the picture alone for
"Vision Only", whose question is empty: the model is asked to read it there. The paper's number is
Vision Only; the mean over the five versions is MathVerse's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, ToItems, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, optional, picture, text
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring, add

VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
TEXT_ONLY = "Text Only"
READ_IT = "The question is in the picture: read it there and answer it."
NOTE = "official: GPT-4 extracts and judges"


def to_item(raw: RawRow) -> Item:
    """One problem in one version."""
    version = text(raw, "problem_version")
    if version not in (*VERSIONS, TEXT_ONLY):
        raise RowError(f"unknown problem_version: {version!r}")
    is_choice = text(raw, "question_type") == "multi-choice"
    answer = text(raw, "answer").replace("\u63b3", "°")  # a degree sign broken by GBK
    return item(
        raw,
        "mathverse",
        optional(raw, "question") or READ_IT,
        answer,
        images=[] if version == TEXT_ONLY else [picture(raw, "image")],
        answer_type="choice" if is_choice else None,
        facts={"version": version, "problem": optional(raw, "problem_index")},
    )


def vision_only(raw: RawRow) -> Sequence[Item]:
    """The item, if it is of the Vision Only version."""
    made = to_item(raw)
    return [made] if made.facts["version"] == "Vision Only" else []


def by_version(unit: Sequence[Scored]) -> Parts:
    """Accuracy of each version."""
    found: Parts = {}
    for scored in unit:
        add(found, scored.item.facts["version"], scored.score)
    return found


def _mathverse(name: str, title: str, to_items: ToItems, headline: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        license="MIT",
        sources=[
            Source(
                ["**/testmini.json", "**/testmini-*.parquet", "**/testmini_text_only.json"],
                to_items,
                hub="AI4Math/MathVerse",
                config="testmini",
                split="testmini",
                rows=json_or_table,
            )
        ],
        scoring=Scoring(
            headline,
            unit=lambda item: item.facts["problem"] or item.id,
            parts=by_version,
            derived={"mean of versions": dict.fromkeys(VERSIONS, 1 / len(VERSIONS))},
        ),
        paper=[Paper("Vision Only", 41.1, 54.6)],
        folder="mathverse",
        note=NOTE,
    )


BENCHMARKS = [
    _mathverse("mathverse", "MathVerse (vision only)", vision_only, "Vision Only"),
    _mathverse("mathverse_all", "MathVerse (all versions)", to_item, "mean of versions"),
]
