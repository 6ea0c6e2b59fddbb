"""A user's own table: JSON Lines, JSON, CSV, parquet or Arrow, by naming its columns.

``get_reader("columns", columns={"question": "problem", "answer": "gold"})``. ``a.b`` is ``b``
within ``a``. Whatever a named column lacks or holds wrongly makes its row a `BadRow`; a column that
the first row has not is a mistake in the naming and stops at once, with the columns that there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, choice_at, number_or_none
from ovr_plugin.data.readers._tables import TABLES, RawRows, table
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample, letters
from ovr_plugin.reward.spec import AnswerSpec

NAME = "columns"
ABOUT = About("a table of your own", "both", "yours", 0, note="name its columns")
SPLITS = ("train", "val", "test")
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
        answer: column of the reference: a text or number or a list of one; with ``choices`` also
            the text of one of them, its letter, or its number from 0.
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

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Columns:
        """Read a mapping; ValueError names what it lacks, what it has too much, and what it may."""
        known = [field.name for field in fields(cls)]
        wrong = [f"unknown: {name!r}" for name in names if name not in known]
        wrong += [f"missing: {name!r}" for name in ("question", "answer") if not names.get(name)]
        if wrong:
            raise ValueError(f"columns: {'; '.join(wrong)}; there are {', '.join(known)}")
        return cls(**names)

    def named(self) -> list[str]:
        """The columns that a table must have."""
        return [name for name in (getattr(self, field) for field in OF_TABLE) if name]


def read(
    root: Location, columns: Columns | Mapping[str, Any] | None = None
) -> Iterator[Sample | BadRow]:
    """Every row of the tables under ``root``.

    Raises:
        ValueError: the columns are not named, or a table has not one of them.
    """
    if columns is None:
        raise ValueError("columns: name them, at least question and answer")
    names = columns if isinstance(columns, Columns) else Columns.of(columns)

    def rows(root: Path, file: str) -> RawRows:
        for number, raw in enumerate(table(root, file)):
            if number == 0 and isinstance(raw, RawRow):
                _check(raw, names)
            yield raw

    return read_files(root, TABLES, lambda raw: _to_sample(raw, names), rows)


def _check(raw: RawRow, names: Columns) -> None:
    """Of JSON the first row may lack an optional column; what must be there, it must have."""
    there = raw.data if isinstance(raw.data, dict) else {}
    needed = [names.question, names.answer] if "json" in raw.file else names.named()
    missing = [name for name in needed if name.partition(".")[0] not in there and name not in there]
    if missing:
        raise ValueError(
            f"{raw.root / raw.file}: no column {', '.join(map(repr, missing))}; "
            f"there are {', '.join(map(repr, there)) or 'none'}"
        )


def _to_sample(raw: RawRow, names: Columns) -> Sample:
    question, answer = _text(raw, names.question), _text(raw, names.answer)
    choices = [_as_text(choice, names.choices) for choice in _list(raw, names.choices)]
    images = [picture(raw, value, names.images or "") for value in _list(raw, names.images)]
    in_choices = any(IMAGE_PLACEHOLDER in choice for choice in choices)
    kind = _optional(raw, names.answer_type)
    if choices:
        answer, kind = _letter(_single(raw, names.answer), answer, choices), kind or "choice"
    split = _optional(raw, names.split) or "train"
    if split not in SPLITS:
        raise RowError(f"unknown split: {split!r}; there are {', '.join(SPLITS)}")
    answer_type, unit = kind or number_or_none(answer), _optional(raw, names.unit)
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
    text = _optional(raw, name)
    if text is not None and not text.isdecimal():
        raise RowError(f"not a number of pixels: {name!r} is {text!r:.60}")
    return None if text is None else int(text)


def _find(data: Any, name: str | None) -> Any:
    """The value of a column, ``a.b`` being b within a; None where it is not there."""
    if name is None or not isinstance(data, Mapping):
        return None
    if name in data:
        return data[name]
    head, dot, rest = name.partition(".")
    return _find(data.get(head), rest) if dot else None


def _single(raw: RawRow, name: str | None) -> Any:
    """The value of a column, or the one element of its list."""
    value = _find(raw.data, name)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _text(raw: RawRow, name: str) -> str:
    value = _single(raw, name)
    text = "" if value is None else _as_text(value, name).strip()
    if not text:
        raise RowError(f"empty: {name!r}")
    return text


def _as_text(value: Any, name: str | None) -> str:
    if value != value:  # how pandas writes that there is nothing
        return ""
    if isinstance(value, bool) or not isinstance(value, str | Real | Decimal):
        raise RowError(f"neither text nor number: {name!r} is {value!r:.60}")
    return format(value, "f") if isinstance(value, Decimal) else str(value).strip()


def _optional(raw: RawRow, name: str | None) -> str | None:
    value = _single(raw, name)
    return None if value is None else _as_text(value, name) or None


def _list(raw: RawRow, name: str | None) -> list[Any]:
    value = _find(raw.data, name)
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
