"""CharXiv validation: 1,000 charts of papers; reasoning and descriptive questions (CC BY-SA 4.0).

Layouts: ``data/{reasoning,descriptive}_val.json`` with ``images/<figure_id>.jpg``, and the Hub's
parquet files. Descriptive questions are of 19 kinds, four to a chart; the files have their numbers,
and the wording is ours after the authors' instructions. Officially GPT-4o is the judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, picture, picture_at, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

NONE = " If there is none, answer 'Not Applicable'."
TICK = " Give the tick as it is written, without a unit or scale that stands elsewhere."
STEP = (
    TICK + " If the ticks are not numbers, or not evenly spaced, or missing, answer "
    "'Not Applicable'."
)
LINES = (
    " Ignore grid lines, ticks and auxiliary lines. If it is no line plot, answer 'Not Applicable'."
)
LEGEND = " Count only labels that belong to this plot." + NONE
BAR = " Leave out a percent sign. If it has no colorbar, answer 'Not Applicable'."

# Number -> (kind of the official rubric, question).
DESCRIPTIVE: dict[int, tuple[str, str]] = {
    1: ("text", "What is its title? A bare letter is no title." + NONE),
    2: ("text", "What is the label of the x-axis (the lower one, also if shared)?" + NONE),
    3: ("text", "What is the label of the y-axis (the left one, also if shared)?" + NONE),
    4: ("text", "What is the leftmost labeled tick on the x-axis?" + TICK),
    5: ("text", "What is the rightmost labeled tick on the x-axis?" + TICK),
    6: ("text", "What is the spatially lowest labeled tick on the y-axis?" + TICK),
    7: ("text", "What is the spatially highest labeled tick on the y-axis?" + TICK),
    8: ("number", "What is the difference between consecutive ticks on the x-axis?" + STEP),
    9: ("number", "What is the difference between consecutive ticks on the y-axis?" + STEP),
    10: ("number", "How many lines are there?" + LINES),
    11: ("yes or no", "Do any lines intersect? Answer Yes or No." + LINES),
    12: ("number", "How many discrete labels are there in the legend?" + LEGEND),
    13: (
        "list",
        "What are the names of the labels in the legend, from top to bottom, then from left to "
        "right, separated by commas?" + LEGEND,
    ),
    14: (
        "number",
        "What is the difference between the largest and the smallest tick of the colorbar?" + BAR,
    ),
    15: ("number", "What is the largest tick of the colorbar?" + BAR),
    16: (
        "trend",
        "What is the general trend of the data from left to right, in a few words such as "
        "'increases' or 'increases then stabilizes'?",
    ),
    17: ("number", "How many labeled ticks are there across all axes, shared ones included?"),
    18: ("layout", "What is the layout of the subplots, as 'n by m', rows by columns?"),
    19: ("number", "How many subplots are there?"),
}
WHOLE_FIGURE = (18, 19)
CATEGORIES = {1: "text in chart", 2: "text", 3: "number in chart", 4: "number"}
HINTS = {
    1: "Answer with text that is written in the chart; separate several terms with commas.",
    2: "Answer with a short phrase.",
    3: "Answer with a number that is written in the chart, even if it is approximate.",
}


def reasoning(raw: RawRow) -> Item:
    """The reasoning question of a chart."""
    answer = text(raw, "answer", "reasoning_a")
    kind = int(text(raw, "inst_category", "reasoning_a_type"))
    if kind not in CATEGORIES:
        raise RowError(f"unknown kind of answer: {kind}")
    hint = HINTS.get(kind) or f"Answer with a number with {_n_decimals(answer)} decimals."
    return item(
        raw,
        "charxiv_reasoning",
        f"{text(raw, 'query', 'reasoning_q')}\n{hint}",
        answer,
        images=[_chart(raw)],
        part="reasoning",
        facts={"category": CATEGORIES[kind]},
    )


def descriptive(raw: RawRow) -> Sequence[Item]:
    """The four descriptive questions of a chart."""
    if "qids" in raw.data:
        pairs = list(zip(raw.field("qids", list), raw.field("answers", list), strict=True))
    else:
        fields = [(f"descriptive_q{i}", f"descriptive_a{i}") for i in range(1, 5)]
        pairs = [(raw.field(q, int), raw.field(a)) for q, a in fields]
    return [_descriptive(raw, part, *pair) for part, pair in enumerate(pairs, start=1)]


def _descriptive(raw: RawRow, part: int, number: Any, answer: str) -> Item:
    if number not in DESCRIPTIVE:
        raise RowError(f"unknown descriptive question: {number!r}")
    kind, question = DESCRIPTIVE[number]
    where = "" if number in WHOLE_FIGURE else _where(raw)
    kinds = {"yes or no": "yes_no", "text": "text"} if answer != "Not Applicable" else {}
    return item(
        raw,
        "charxiv_descriptive",
        where + question,
        answer,
        images=[_chart(raw)],
        answer_type=kinds.get(kind),
        part=part,
        facts={"kind": kind},
    )


def _where(raw: RawRow) -> str:
    """Which subplot is meant: row and column from 1, 0 for the only one, or words."""
    place = raw.data.get("subplot_loc")
    if place is None:
        place = [raw.field("subplot_row", int), raw.field("subplot_col", int)]
    if isinstance(place, str):
        return f"For {place}: "
    if place[0] == 0:
        return "For the current plot: "
    return f"For the subplot at row {place[0]} and column {place[1]}: "


def _chart(raw: RawRow) -> ImageRef:
    if raw.data.get("image"):
        return picture(raw, "image")
    return picture_at(raw, f"images/{text(raw, 'figure_id')}.jpg")


def _n_decimals(answer: str) -> int:
    return len(answer.partition(".")[2])


def _charxiv(name: str, to_items: Any, fact: str, paper: Paper) -> Benchmark:
    kind = name.removeprefix("charxiv_")
    return Benchmark(
        name=name,
        title=f"CharXiv ({kind})",
        license="annotations CC BY-SA 4.0, charts of their authors",
        sources=[
            Source(
                [f"**/{kind}_val.json", "**/val*.parquet"],
                to_items,
                hub="princeton-nlp/CharXiv",
                split="validation",
                rows=json_or_table,
            )
        ],
        scoring=Scoring(parts=accuracy(fact)),
        paper=[paper],
        folder="charxiv",
        note="official: GPT-4o judges, which is kinder to wording than matching",
    )


BENCHMARKS = [
    _charxiv("charxiv_reasoning", reasoning, "category", Paper("accuracy", 36.4, 44.5)),
    _charxiv("charxiv_descriptive", descriptive, "kind", Paper("accuracy", 67.3, 73.6)),
]
