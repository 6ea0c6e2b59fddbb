"""What the readers share: raw rows with their place, checked fields, the type of an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ovr_plugin.data.sample import BadRow, ColdStartSample, Sample, letters
from ovr_plugin.reward.extract import extract_answer

Record = TypeVar("Record", Sample, ColdStartSample)
BARE_BOX = re.compile(r"\\boxed +([^{}$\s][^{}$]*)\$")
NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")


class RowError(Exception):
    """This row cannot become a `Sample`; the message says why in words."""


@dataclass(frozen=True)
class RawRow:
    """One raw row and its place: ``file`` is relative to the corpus, rows count from 0."""

    root: Path
    file: str
    row: int
    data: Any

    def field(self, name: str, kind: type | tuple[type, ...] = str) -> Any:
        """``data[name]`` if it has the type ``kind``; `RowError` otherwise."""
        if not isinstance(self.data, dict):
            raise RowError(f"the row is not an object: {type(self.data).__name__}")
        if name not in self.data:
            raise RowError(f"field missing: {name!r}")
        value = self.data[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RowError(f"field of the wrong type: {name!r} is {value!r:.60}")
        return value

    def id(self, corpus: str) -> str:
        """The identifier by which the row can be found again."""
        return f"{corpus}/{self.file}#{self.row}"


def convert(
    rows: Iterable[RawRow | BadRow], to_record: Callable[[RawRow], Record]
) -> Iterator[Record | BadRow]:
    """Turn every raw row into a record, or into a `BadRow` if ``to_record`` raises `RowError`."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            if not isinstance(row.data, dict | list):
                raise RowError(f"the row is not an object: {type(row.data).__name__}")
            record = to_record(row)
        except RowError as error:
            yield BadRow(str(row.root / row.file), row.row, str(error))
            continue
        split = split_of(row.file) if record.split == "train" else record.split
        yield record if split == record.split else replace(record, split=split)


def is_unicode(text: str) -> bool:
    """Whether a text can be written: names of files and JSON's escapes may hold half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=1024)
def split_of(file: str) -> str:
    """The split that a file's path names: test, val or train."""
    words = set(re.split(r"[^a-z]+", file.lower()))
    if "test" in words:
        return "test"
    return "val" if words & {"val", "dev", "valid", "validation"} else "train"


def texts(raw: RawRow, name: str) -> list[str]:
    """A list of texts, or of numbers as texts."""
    values = raw.field(name, list)
    if not all(isinstance(value, str | int | float) for value in values):
        raise RowError(f"not a list of texts: {name!r} is {values!r:.60}")
    return [str(value).strip() for value in values]


def last_box(solution: str) -> str:
    """What the last box of a written solution holds; `RowError` if it has none."""
    # MATH also has boxes without braces: up to the end of the formula (Hendrycks' own reading).
    answer = extract_answer(BARE_BOX.sub(lambda box: f"\\boxed{{{box[1].strip()}}}$", solution))
    if not answer:
        raise RowError("the solution has no boxed answer")
    return answer


def tagged_answer(text: str) -> str:
    """What the last ``<answer>`` tag holds, or the text itself where there is none."""
    found = re.findall(r"<answer>\s*(.*?)\s*</answer>", text, re.DOTALL)
    return found[-1] if found else text.strip()


def letter_of(answer: str, choices: list[str]) -> str:
    """The letter of the one choice that equals ``answer``."""
    places = [place for place, choice in enumerate(choices) if choice == answer]
    if len(places) != 1:
        raise RowError(f"the answer is not exactly one of the choices: {answer!r} among {choices}")
    return letters(len(choices))[places[0]]


def number_or_none(answer: str) -> str | None:
    """``number`` for a plain integer or decimal; None leaves the type to the grader."""
    return "number" if NUMBER.fullmatch(answer.strip()) else None


def first_of(raw: RawRow, *names: str) -> str:
    """The first of the fields that the row has; `RowError` if it has none of them."""
    for name in names:
        if isinstance(raw.data, dict) and raw.data.get(name) is not None:
            return name
    raise RowError(f"field missing: {' or '.join(map(repr, names))}")


def choice_at(index: object, choices: list[str]) -> str:
    """The letter of the choice with this number, from 0."""
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(choices):
        raise RowError(f"the answer is not one of the choices: {index!r} of {len(choices)}")
    return letters(len(choices))[index]
