"""HallusionBench: 1,129 yes/no questions in groups, 178 of them without a picture (BSD-3-Clause).

Layouts: ``HallusionBench.json`` with the pictures in ``hallusion_bench/`` (its ``filename`` is
"./VS/chart/0_1.png"), and the Hub's parquet files. Three accuracies: of all questions, of figures
(every question on it right) and of question pairs (right on every figure). The paper's number is
taken for their mean, as VLMEvalKit's leaderboard has it, over the 951 questions with a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, picture, picture_at, text, yes_or_no
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring, add, answered, right_as_one, same

ANSWERS = {"0": "no", "1": "yes"}
SET = ("category", "subcategory", "set")
WITH_PICTURE, ALL = "", ", text questions too"


def to_item(raw: RawRow) -> Item:
    """One question."""
    answer = ANSWERS.get(text(raw, "gt_answer"))
    if answer is None:
        raise RowError(f"neither 0 nor 1: 'gt_answer' is {raw.data['gt_answer']!r}")
    images = _pictures(raw)
    return item(
        raw,
        "hallusionbench",
        yes_or_no(text(raw, "question")),
        answer,
        images=images,
        answer_type="yes_no",
        facts={
            "category": text(raw, "category"),
            "subcategory": text(raw, "subcategory"),
            "set": text(raw, "set_id"),
            "figure": text(raw, "figure_id"),
            "question": text(raw, "question_id"),
            "has_picture": bool(images),
        },
        ability="perception",
    )


def _pictures(raw: RawRow) -> list[ImageRef]:
    if raw.data.get("image"):
        return [picture(raw, "image")]
    if raw.data.get("visual_input") in ("0", 0):
        return []
    return [picture_at(raw, f"hallusion_bench/{text(raw, 'filename').removeprefix('./')}")]


def groups(unit: Sequence[Scored]) -> Parts:
    """The three accuracies of one set; a figure or a pair that lacks an answer has none."""
    found: Parts = {}
    for suffix, answers in (
        (WITH_PICTURE, [scored for scored in unit if scored.item.facts["has_picture"]]),
        (ALL, unit),
    ):
        for scored in answered(answers):
            add(found, f"aAcc{suffix}", scored.score)
        for metric, fact in (("fAcc", "figure"), ("qAcc", "question")):
            together: dict[str, list[Scored]] = {}
            for scored in answers:
                together.setdefault(scored.item.facts[fact], []).append(scored)
            for group in together.values():
                if (right := right_as_one(group)) is not None:
                    add(found, f"{metric}{suffix}", right)
    return found


BENCHMARKS = [
    Benchmark(
        name="hallusionbench",
        title="HallusionBench",
        license="BSD-3-Clause",
        sources=[
            Source(
                ["**/HallusionBench.json", "**/image-*.parquet"],
                to_item,
                hub="lmms-lab/HallusionBench",
                split="image",
            ),
            Source([], to_item, hub="lmms-lab/HallusionBench", split="non_image"),
        ],
        scoring=Scoring(
            "mean",
            unit=same(*SET),
            parts=groups,
            groups=[same(*SET, "figure"), same(*SET, "question")],
            derived={
                f"mean{suffix}": {f"{metric}{suffix}": 1 / 3 for metric in ("aAcc", "fAcc", "qAcc")}
                for suffix in (WITH_PICTURE, ALL)
            },
        ),
        paper=[Paper("mean", 49.0, 53.6, cold_start=55.0)],
    )
]
