"""MME: 14 tasks, each picture with one "yes" and one "no" question (research use; on request).

Layouts: the authors' folders, ``<task>/*.txt`` beside the pictures (a line is a question, a tab and
the answer; some tasks have ``questions_answers_YN/`` and ``images/``), and the Hub's parquet files.
A task scores accuracy plus accuracy+, the share of pictures with both questions right: up to 200.
Perception has ten tasks, cognition four; the paper's 1559.1 can only be perception's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import table
from ovr_plugin.data.sample import BadRow
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import item, picture, text, yes_or_no
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring, add, answered, same

PERCEPTION = (
    *("OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position"),
    *("posters", "scene"),
)
COGNITION = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")
PICTURES = (".jpg", ".png")


def rows(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The two questions of one picture, under the Hub's names; or a table."""
    if not file.endswith(".txt"):
        yield from table(root, file)
        return
    path = root / file
    folder = path.parent.parent if path.parent.name == "questions_answers_YN" else path.parent
    places = [
        place / path.with_suffix(end).name
        for end in PICTURES
        for place in (folder, folder / "images")
    ]
    image = next((place for place in places if place.is_file()), places[0])
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for row, line in enumerate(line for line in lines if line.strip()):
        question, _, answer = line.rpartition("\t")
        data = {
            "question_id": f"{folder.name}/{path.stem}",
            "image": image.relative_to(root).as_posix(),
            "question": question,
            "answer": answer,
            "category": folder.name,
        }
        yield RawRow(root, file, row, data)


def to_item(raw: RawRow) -> Item:
    """One question."""
    answer, task = text(raw, "answer").lower(), text(raw, "category")
    if answer not in ("yes", "no"):
        raise RowError(f"neither yes nor no: {answer!r}")
    if task not in PERCEPTION + COGNITION:
        raise RowError(f"unknown task: {task!r}")
    return item(
        raw,
        "mme",
        yes_or_no(text(raw, "question")),
        answer,
        images=[picture(raw, "image")],
        answer_type="yes_no",
        facts={"task": task, "picture": text(raw, "question_id")},
        ability="perception",
    )


def pair(unit: Sequence[Scored]) -> Parts:
    """Accuracy and accuracy+ of one picture's pair; half a pair has no accuracy+."""
    task = unit[0].item.facts["task"]
    unit = answered(unit)
    found: Parts = {}
    for scored in unit:
        add(found, f"{task}, accuracy", scored.score)
    if len(unit) == 2:
        add(found, f"{task}, accuracy+", min(scored.score for scored in unit))
    return found


def _points(tasks: Sequence[str]) -> dict[str, float]:
    return {f"{task}, {kind}": 1.0 for task in tasks for kind in ("accuracy", "accuracy+")}


BENCHMARKS = [
    Benchmark(
        name="mme",
        title="MME",
        license="research use, on request",
        sources=[Source(["**/test*.parquet", "**/*.txt"], to_item, hub="lmms-lab/MME", rows=rows)],
        scoring=Scoring(
            "perception",
            unit=same("task", "picture"),
            parts=pair,
            groups=[same("task", "picture")],
            derived={
                "perception": _points(PERCEPTION),
                "cognition": _points(COGNITION),
                "perception and cognition": _points(PERCEPTION + COGNITION),
            },
            points=True,
        ),
        paper=[Paper("perception", 1659.7, 1559.1, cold_start=1549.8)],
        note="the paper's number is taken for perception's, of 2000",
    )
]
