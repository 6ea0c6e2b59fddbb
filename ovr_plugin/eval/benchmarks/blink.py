"""BLINK: 1,901 validation questions of 14 perception tasks, up to four pictures (Apache-2.0).

Layout: the Hub's parquet files, one configuration a task (``<task>/val-*.parquet``: question,
choices, answer "(A)", image_1..4). The headline is over all questions, as VLMEvalKit prints it.
"""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, letter, literal_list, optional, picture, text
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

TASKS = (
    *("Art_Style", "Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test"),
    *("Jigsaw", "Multi-view_Reasoning", "Object_Localization", "Relative_Depth"),
    *("Relative_Reflectance", "Semantic_Correspondence", "Spatial_Relation"),
    *("Visual_Correspondence", "Visual_Similarity"),
)


def to_item(raw: RawRow) -> Item:
    """One question; its pictures stand first, in order."""
    choices = literal_list(raw, "choices")
    names = [f"image_{number}" for number in range(1, 5)]
    return item(
        raw,
        "blink",
        text(raw, "question"),
        letter(text(raw, "answer"), len(choices)),
        choices=choices,
        images=[picture(raw, name) for name in names if raw.data.get(name)],
        facts={"task": optional(raw, "sub_task")},
        ability="perception",
    )


BENCHMARKS = [
    Benchmark(
        name="blink",
        title="BLINK",
        license="Apache-2.0",
        sources=[
            Source([f"{task}/val*.parquet"], to_item, "BLINK-Benchmark/BLINK", task, "val")
            for task in TASKS
        ],
        scoring=Scoring(parts=accuracy("task")),
        paper=[Paper("accuracy", 53.7, 54.1, cold_start=51.5)],
    )
]
