r"""RealWorldQA: 765 questions on photos of streets and rooms (CC BY-ND 4.0).

Layouts: the Hub's ``test*.parquet`` (image, question, answer) and VLMEvalKit's TSV. Options, where
there are any, stand in the question: "A. ...\nB. ...\nPlease answer directly with ...", an
instruction that contradicts reasoning first and is left out.
"""

from __future__ import annotations

import re

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, picture, text
from ovr_plugin.eval.scoring import Item

DIRECTLY = re.compile(r"\s*Please answer directly with[^\n]*$")
OPTION = re.compile(r"\n\s*([A-F])[.)]\s+")


def to_item(raw: RawRow) -> Item:
    """One question."""
    question = DIRECTLY.sub("", text(raw, "question"))
    answer, images = text(raw, "answer"), [picture(raw, "image")]
    asked, *found = OPTION.split(question)
    choices = [option.strip() for option in found[1::2]]
    if len(choices) > 1 and "ABCDEF".startswith("".join(found[::2])):
        right = letter(answer, len(choices))
        return item(
            raw,
            "realworldqa",
            asked,
            right,
            choices=choices,
            images=images,
            ability="perception",
        )
    return item(raw, "realworldqa", question, answer, images=images, ability="perception")


BENCHMARKS = [
    Benchmark(
        name="realworldqa",
        title="RealWorldQA",
        license="CC BY-ND 4.0",
        sources=[Source(["**/test*.parquet", "**/*.tsv"], to_item, hub="xai-org/RealworldQA")],
        paper=[Paper("accuracy", 69.3, 65.5, cold_start=63.1)],
    )
]
