"""MMMU-Pro: 1,730 questions of college level, ten options, and again as screenshots (Apache-2.0).

Layouts: ``mmmu-pro/mix_data.jsonl`` with ``mmmu-pro/images/`` (the ten shuffled options), and the
Hub's parquet files of the configurations "standard (10 options)" and "vision". The official score
is the mean of the two settings; the paper does not say which it prints.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, literal_list, optional, picture, placed
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring, add

HUB, STANDARD = "MMMU/MMMU_Pro", "standard (10 options)"
READ_IT = "The question and its options are in the picture: read them there and answer."


def standard(raw: RawRow) -> Item:
    """A question with ten options, its pictures where the text has them."""
    is_mixed = "shuffled_options" in raw.data
    names = ("shuffled_options", "shuffled_options_answer") if is_mixed else ("options", "answer")
    choices = literal_list(raw, names[0])
    answer = letter(raw.field(names[1]), len(choices))
    (question, *choices), images = placed(raw, raw.field("question"), *choices)
    return item(
        raw,
        "mmmu_pro",
        question,
        answer,
        choices=choices,
        images=images,
        facts={"setting": "standard", "subject": optional(raw, "subject", "subfield")},
    )


def vision(raw: RawRow) -> Item:
    """The same as a screenshot."""
    choices = literal_list(raw, "options")
    return item(
        raw,
        "mmmu_pro",
        READ_IT,
        letter(raw.field("answer"), len(choices)),
        images=[picture(raw, "image")],
        answer_type="choice",
        facts={"setting": "vision"},
    )


def by_setting(unit: Sequence[Scored]) -> Parts:
    """Accuracy of the setting of a question."""
    found: Parts = {}
    for scored in unit:
        add(found, scored.item.facts["setting"], scored.score)
    return found


BENCHMARKS = [
    Benchmark(
        name="mmmu_pro",
        title="MMMU-Pro",
        license="Apache-2.0",
        sources=[
            Source(
                ["**/mix_data.jsonl", f"**/{STANDARD}/*.parquet"],
                standard,
                hub=HUB,
                config=STANDARD,
            ),
            Source(["**/vision/*.parquet"], vision, hub=HUB, config="vision"),
        ],
        scoring=Scoring(
            "mean of settings",
            parts=by_setting,
            derived={"mean of settings": {"standard": 0.5, "vision": 0.5}},
        ),
        paper=[Paper("mean of settings", None, 50.2)],
    )
]
