r"""MATH-Vision: 3,040 competition problems with pictures; ``mini`` is 304 of them (MIT).

Layouts: ``data/{test,testmini}.jsonl`` with ``images/<id>.jpg``, and the Hub's parquet files. All
``<image1>`` marks of a question mean its one picture, which stands first. 384 questions have their
options in the picture, listed as the bare letters. The mini set is where OVR measures behaviours.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ovr_plugin.data.readers._rows import RawRow, texts
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import IMAGE_MARK, item, letter, optional, picture, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy
from ovr_plugin.reward.extract import extract_answer

DOLLARS = re.compile(r"\$\$?([^$]*)\$\$?")


def _to_item(name: str) -> Callable[[RawRow], Item]:
    def to_item(raw: RawRow) -> Item:
        question = IMAGE_MARK.sub("", text(raw, "question")).strip()
        facts = {"subject": optional(raw, "subject"), "level": optional(raw, "level")}
        images = [picture(raw, "decoded_image", "image")]
        answer = text(raw, "answer")
        if choices := texts(raw, "options"):
            reference = letter(answer, len(choices))
            return item(raw, name, question, reference, choices=choices, images=images, facts=facts)
        return item(raw, name, question, _free_form(answer), images=images, facts=facts)

    return to_item


def _free_form(answer: str) -> str:
    """Undo what a few references suffer from: dollars, a box, an unescaped form feed."""
    answer = answer.replace("\x0c", r"\f").strip()
    whole = DOLLARS.fullmatch(answer)
    answer = whole[1].strip() if whole else answer
    return extract_answer(answer) or answer


def _mathvision(name: str, title: str, split: str, paper: list[Paper]) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        license="MIT",
        sources=[
            Source(
                [f"**/{split}.jsonl", f"**/{split}-*.parquet"],
                _to_item(name),
                hub="MathLLMs/MathVision",
                split=split,
            )
        ],
        scoring=Scoring(parts=accuracy("subject")),
        paper=paper,
        folder="mathvision",
    )


BENCHMARKS = [
    _mathvision("mathvision", "MathVision", "test", [Paper("accuracy", 25.5, 51.8)]),
    _mathvision("mathvision_mini", "MathVision (mini)", "testmini", []),
]
