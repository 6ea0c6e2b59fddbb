"""POPE: is there a ... in the image? 9,000 yes/no questions of three kinds (MIT; COCO's pictures).

Layouts: ``output/coco/coco_pope_{random,popular,adversarial}.json`` (JSON Lines, labels yes and no)
with COCO val2014's pictures in ``val2014/``, and the Hub's parquet files. The headline is the F1 of
"yes" over all three kinds.
"""

from __future__ import annotations

import re

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import json_lines
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, optional, picture, picture_at, text, yes_or_no
from ovr_plugin.eval.scoring import Item, Scoring, yes_no_f1

KIND = re.compile(r"random|popular|adversarial")


def to_item(raw: RawRow) -> Item:
    """One question."""
    answer = text(raw, "label", "answer").lower()
    if answer not in ("yes", "no"):
        raise RowError(f"neither yes nor no: {answer!r}")
    kind = KIND.search(optional(raw, "category") or raw.file)
    return item(
        raw,
        "pope",
        yes_or_no(text(raw, "text", "question")),
        answer,
        images=[_photo(raw)],
        answer_type="yes_no",
        facts={"category": kind[0] if kind else ""},
        ability="perception",
    )


def _photo(raw: RawRow) -> ImageRef:
    name = raw.data.get("image")
    return picture_at(raw, f"val2014/{name}") if isinstance(name, str) else picture(raw, "image")


BENCHMARKS = [
    Benchmark(
        name="pope",
        title="POPE",
        license="MIT; pictures of COCO",
        sources=[Source(["**/coco_pope_*.json"], to_item, hub="lmms-lab/POPE", rows=json_lines)],
        scoring=Scoring("F1", parts=yes_no_f1),
        paper=[Paper("F1", 86.1, 83.2, cold_start=82.5)],
    )
]
