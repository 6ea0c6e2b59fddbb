"""LogicVista: 448 logic puzzles, their options in the picture (Apache-2.0; 287 items unlicensed).

Layouts: ``data/dataset.json`` with ``data/images/``, and the Hub's parquet files. A few references
are several letters: all of them and no other are right.
"""

from __future__ import annotations

import re

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, picture, picture_at, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

LETTERS = re.compile(r"[A-G](?:\s*,\s*[A-G])*")


def to_item(raw: RawRow) -> Item:
    """One puzzle."""
    answer = text(raw, "answer").upper()
    if not LETTERS.fullmatch(answer):
        raise RowError(f"the answer is no option's letter: {answer!r}")
    skills = raw.data.get("skill") or []
    named = "imagename" in raw.data
    image = picture_at(raw, f"images/{text(raw, 'imagename')}") if named else picture(raw, "image")
    return item(
        raw,
        "logicvista",
        text(raw, "question"),
        answer,
        images=[image],
        answer_type="choice",
        facts={"skill": skills[0] if isinstance(skills, list) and skills else ""},
    )


BENCHMARKS = [
    Benchmark(
        name="logicvista",
        title="LogicVista",
        license="Apache-2.0; 287 of 448 pictures unlicensed",
        sources=[
            Source(
                ["**/dataset.json", "**/*.parquet"],
                to_item,
                hub="lscpku/LogicVista",
                rows=json_or_table,
            )
        ],
        scoring=Scoring(parts=accuracy("skill")),
        paper=[Paper("accuracy", 47.9, 54.8)],
        note="official: an LLM extracts the letters",
    )
]
