"""MM-Vet: 218 open questions (Apache-2.0); only those with short answers can be matched.

Layouts: ``mm-vet/mm-vet.json`` with ``mm-vet/images/``, and the Hub's parquet files. The official
score is GPT-4's, with partial credit. Here ``a<OR>b`` takes either, ``a<AND>b`` needs both as a
list, and a question whose reference is a description is left out as a bad row: for the whole
benchmark run VLMEvalKit (`ovr_plugin.eval.importers`).
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source, json_or_table
from ovr_plugin.eval.benchmarks._rows import item, picture, picture_at, text
from ovr_plugin.eval.scoring import Item

MAX_WORDS = 5  # of a reference that a rule can match


def to_item(raw: RawRow) -> Item:
    """One question."""
    references = [_either(each) for each in text(raw, "answer").split("<OR>")]
    short = [each for each in references if len(each.split()) <= MAX_WORDS]
    if not short:
        raise RowError("needs a judge: the reference is a description")
    named = "imagename" in raw.data
    image = picture_at(raw, f"images/{text(raw, 'imagename')}") if named else picture(raw, "image")
    return item(
        raw,
        "mmvet",
        text(raw, "question"),
        short[0],
        images=[image],
        alternatives=tuple(short[1:]),
        ability="perception",
    )


def _either(reference: str) -> str:
    return ", ".join(part.strip() for part in reference.split("<AND>"))


BENCHMARKS = [
    Benchmark(
        name="mmvet",
        title="MMVet",
        license="Apache-2.0",
        sources=[
            Source(
                ["**/mm-vet.json", "**/test*.parquet"],
                to_item,
                hub="lmms-lab/MMVet",
                rows=json_or_table,
            )
        ],
        paper=[Paper("accuracy", 63.9, 63.6, cold_start=61.8)],
        note="short answers only, matched; official: GPT-4 with partial credit, not comparable",
    )
]
