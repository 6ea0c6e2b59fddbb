"""A user's own table: JSON Lines, JSON, CSV, parquet or Arrow, by naming its columns.

``get_reader("columns", columns={"question": "problem", "answer": "gold"})``. ``a.b`` is ``b``
within ``a``. Whatever a named column lacks or holds wrongly makes its row a `BadRow`; a column that
the first row has not is a mistake in the naming and stops at once, with the columns that there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._own_table import (
    as_text,
    find,
    name_problems,
    optional,
    read_table,
    single,
    split_of,
    text,
)
from ovr_plugin.data.readers._pictures import picture
from ovr_plugin.data.readers._rows import RawRow, RowError, choice_at, number_or_none
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample, letters
from ovr_plugin.reward.extract import final_answer
from ovr_plugin.reward.spec import AnswerSpec

NAME = "columns"
ABOUT = About(
    "a table of your own", "both", "yours", 0, note="columns: {question: ..., answer: ...}"
)
OF_TABLE = (
    *("question", "answer", "images", "choices", "answer_type", "unit"),
    *("min_pixels", "max_pixels", "split"),
)


@dataclass(frozen=True)
class Columns:
    """Where a table has what; only question and answer must be named.

    Attributes:
        question: column of the question; it and the choices may hold one ``<image>`` per
            picture, all or none.
        answer: column of the reference: a text or number or a list of one; of a worked solution
            its final answer (a box, GSM8K's ``#### 72``); with ``choices`` also the text of one of
            them, its letter, or its number from 0.
        images: column of one picture or a list: paths relative to the table's file or to the
            folder, bytes, or the Hub's structs. In CSV a list is written as JSON.
        choices: column of the list of options; in CSV as JSON.
        answer_type: column of the grader's types (`ovr_plugin.reward.spec`).
        unit: column of the unit that the answer is in.
        min_pixels, max_pixels: columns of the row's own limits of its pictures' size.
        split: column that says train, val or test; by default the file's name does.
        data_source: what the rows are called in metrics, not a column.
        ability: a word for the kind of task, not a column.
        tolerance: relative, of every number, not a column.
    """

    question: str
    answer: str
    images: str | None = None
    choices: str | None = None
    answer_type: str | None = None
    unit: str | None = None
    min_pixels: str | None = None
    max_pixels: str | None = None
    split: str | None = None
    data_source: str = "own"
    ability: str = "own"
    tolerance: float | None = None

    def problems(self) -> list[str]:
        """What is wrong with the names beyond their types."""
        found = name_problems(self)
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            found.append(f".tolerance: must be finite and not negative, not {self.tolerance}")
        return found


def read(
    root: Location, columns: Columns | Mapping[str, Any] | None = None
) -> Iterator[Sample | BadRow]:
    """Every row of the tables under ``root``.

    Raises:
        ValueError: the columns are not named, or a table has not one of them.
    """
    return read_table(root, Columns, columns, OF_TABLE, ("question", "answer"), _to_sample)


def _to_sample(raw: RawRow, names: Columns) -> Sample:
    question, answer = text(raw, names.question), final_answer(text(raw, names.answer))
    choices = [as_text(choice, names.choices) for choice in _list(raw, names.choices)]
    images = [picture(raw, value, names.images or "") for value in _list(raw, names.images)]
    in_choices = any(IMAGE_PLACEHOLDER in choice for choice in choices)
    kind = optional(raw, names.answer_type)
    if choices:
        answer, kind = _letter(single(raw, names.answer), answer, choices), kind or "choice"
    split = split_of(raw, names.split)
    answer_type, unit = kind or number_or_none(answer), optional(raw, names.unit)
    try:
        AnswerSpec.of({"answer_type": answer_type, "unit": unit, "tolerance": names.tolerance})
    except ValueError as error:
        raise RowError(f"not for the grader: {error}") from error
    return Sample(
        data_source=names.data_source,
        prompt=question_prompt(question, choices, 0 if in_choices else len(images)),
        ground_truth=answer,
        images=images,
        ability=names.ability,
        id=raw.id(names.data_source),
        split=split,
        choices=choices,
        tolerance=names.tolerance,
        answer_type=answer_type,
        unit=unit,
        min_pixels=_whole(raw, names.min_pixels),
        max_pixels=_whole(raw, names.max_pixels),
    )


def _whole(raw: RawRow, name: str | None) -> int | None:
    number = optional(raw, name)
    if number is not None and not number.isdecimal():
        raise RowError(f"not a number of pixels: {name!r} is {number!r:.60}")
    return None if number is None else int(number)


def _list(raw: RawRow, name: str | None) -> list[Any]:
    value = find(raw.data, name)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RowError(f"not a list in JSON: {name!r}: {error}") from error
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _letter(value: Any, answer: str, choices: list[str]) -> str:
    if isinstance(value, int) and answer not in choices:
        return choice_at(value, choices)
    if choices.count(answer) == 1:
        return letters(len(choices))[choices.index(answer)]
    letter = answer.strip("() .").upper()
    if letter in letters(len(choices)) and not choices.count(answer):
        return letter
    raise RowError(f"the answer is not exactly one of the choices: {answer!r} among {choices}")


NAMES = Columns
