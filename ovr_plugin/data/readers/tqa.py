"""TQA: middle-school textbook questions, half with a diagram (CC BY-NC 3.0; OVR appendix A).

Layout: ``{train,val}/tqa_v1_{train,val}.json`` and ``test/tqa_v2_test.json``, lists of lessons with
``nonDiagramQuestions`` and ``diagramQuestions``; a diagram's path is relative to the split's
folder. The right answer is a letter, or "true"/"false", and sometimes none of the options.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import RawRows, json_list
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "tqa"
ABOUT = About("TQA", "both", "CC BY-NC 3.0", 26_260)
FILES = ("**/tqa_v1_*.json", "**/tqa_v2_*.json")
PARTS = ("nonDiagramQuestions", "diagramQuestions")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question of every lesson under ``root``."""
    return read_files(root, FILES, _to_sample, _questions)


def _questions(root: Path, file: str) -> RawRows:
    """Each question as a row; they are counted through the whole file."""
    number = 0
    for lesson in json_list(root, file):
        if isinstance(lesson, BadRow):
            yield lesson
            continue
        questions = lesson.data.get("questions") if isinstance(lesson.data, dict) else None
        for part in PARTS:
            found = questions.get(part) if isinstance(questions, dict) else None
            for question in found.values() if isinstance(found, dict) else ():
                yield RawRow(root, file, number, question)
                number += 1


def _to_sample(raw: RawRow) -> Sample:
    options = raw.field("answerChoices", dict)
    keys = sorted(options)
    choices = [_text(options[key], "an option") for key in keys]
    right = _text(raw.field("correctAnswer", dict), "the right answer").lower().strip(" .")
    place = _place(right, keys, choices)
    image = raw.data.get("imagePath")
    images = [picture_at(raw, str(PurePosixPath(raw.file).parent / str(image)))] if image else []
    question = _text(raw.field("beingAsked", dict), "the question")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, choices, n_images=len(images)),
        ground_truth=letters(len(choices))[place],
        images=images,
        ability="science",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )


def _place(right: str, keys: list[str], choices: list[str]) -> int:
    if right in keys:
        return keys.index(right)
    named = [choice.lower().strip(" .") for choice in choices]
    if named.count(right) != 1:
        raise RowError(f"the answer is not exactly one of the choices: {right!r} among {named}")
    return named.index(right)


def _text(value: Any, what: str) -> str:
    text = value.get("processedText") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise RowError(f"no text: {what} is {value!r:.60}")
    return text.strip()
