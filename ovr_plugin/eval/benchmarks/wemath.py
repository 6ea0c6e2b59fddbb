"""We-Math testmini: 525 problems of two or three steps, each with its sub-problems (CC BY-NC 4.0).

Layouts: ``data/testmini.json`` with ``data/{2steps,3steps}/image/``, and the Hub's parquet files.
The four dimensions (of a problem, from its one-step sub-problems and the problem itself):

========================  ==================  =============================================
insufficient knowledge    problem wrong       a sub-problem wrong
inadequate generalization problem wrong       all sub-problems right
complete mastery          problem right       all sub-problems right (loose: one is enough)
rote memorization         problem right       the others
========================  ==================  =============================================

The score is complete mastery plus half of inadequate generalization, of all problems.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, optional, picture, text
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring, add, answered, same

OPTION = re.compile(r"(?:^|;)\s*([A-H])\s*\.")
KEY = re.compile(r"([23])steps_(\d|multi)")


def to_item(raw: RawRow) -> Item:
    """A problem, or a sub-problem of one."""
    key = KEY.fullmatch(text(raw, "key"))
    if not key:
        raise RowError(f"unknown key: {raw.data['key']!r}")
    question, choices = text(raw, "question"), options(text(raw, "option"))
    if not choices:  # oddly written: shown as they are
        question = f"{question}\nChoices:\n{text(raw, 'option')}"
    return item(
        raw,
        "wemath",
        question,
        letter(text(raw, "answer"), len(choices) or 8),
        choices=choices,
        answer_type="choice",
        images=[picture(raw, "image_path", "image")],
        facts={
            "problem": text(raw, "ID"),
            "n_steps": int(key[1]),
            "step": key[2],
            "concept": optional(raw, "knowledge concept"),
        },
    )


def options(text_: str) -> list[str]:
    """``A. 12; B. 8`` -> the texts; none where the letters do not come in order."""
    found = OPTION.split(text_)
    labels = "".join(found[1::2])
    if len(labels) < 2 or not "ABCDEFGH".startswith(labels):
        return []
    return [option.strip().rstrip(";").strip() for option in found[2::2]]


def four_dimensions(unit: Sequence[Scored]) -> Parts:
    """The dimensions of one problem; without all of its parts it has none."""
    unit = answered(unit)
    by_step = {scored.item.facts["step"]: bool(scored.score) for scored in unit}
    found: Parts = {}
    for scored in unit:
        n_steps = scored.item.facts["n_steps"]
        step = scored.item.facts["step"]
        name = f"{n_steps} steps" if step == "multi" else "one step"
        add(found, f"accuracy, {name}", scored.score)
    if not unit or len(by_step) != unit[0].item.facts["n_steps"] + 1 or "multi" not in by_step:
        return found
    right = by_step.pop("multi")
    all_steps, any_step = all(by_step.values()), any(by_step.values())
    add(found, "insufficient knowledge", float(not right and not all_steps))
    add(found, "inadequate generalization", float(not right and all_steps))
    for name, mastered in (("strict", all_steps), ("loose", any_step)):
        add(found, f"complete mastery, {name}", float(right and mastered))
        add(found, f"rote memorization, {name}", float(right and not mastered), float(right))
    return found


BENCHMARKS = [
    Benchmark(
        name="wemath",
        title="WeMath",
        license="CC BY-NC 4.0",
        sources=[
            Source(
                ["**/testmini.json", "**/testmini*.parquet"],
                to_item,
                hub="We-Math/We-Math",
                split="testmini",
            )
        ],
        scoring=Scoring(
            "strict",
            unit=same("problem"),
            parts=four_dimensions,
            groups=[same("problem")],
            derived={
                name: {f"complete mastery, {name}": 1.0, "inadequate generalization": 0.5}
                for name in ("strict", "loose")
            },
        ),
        paper=[Paper("strict", 31.2, 44.6), Paper("loose", 53.1, 64.8)],
    )
]
