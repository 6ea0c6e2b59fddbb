"""What the readers share: raw rows with their place, checked fields, the type of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovr_plugin.data.sample import BadRow, Sample, letters

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
    rows: Iterable[RawRow | BadRow], to_sample: Callable[[RawRow], Sample]
) -> Iterator[Sample | BadRow]:
    """Turn every raw row into a `Sample`, or into a `BadRow` if ``to_sample`` raises `RowError`."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield to_sample(row)
        except RowError as error:
            yield BadRow(str(row.root / row.file), row.row, str(error))


def existing_files(root: Path, patterns: Iterable[str]) -> list[str]:
    """The files under ``root`` that match, in order, relative to it.

    Raises:
        FileNotFoundError: none does; the message names folder and patterns.
    """
    patterns = list(patterns)
    found = {file.relative_to(root).as_posix() for glob in patterns for file in root.glob(glob)}
    if not found:
        raise FileNotFoundError(f"{root}: none of {', '.join(patterns)} is there")
    return sorted(found)


def json_object(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The one row of a file that holds a JSON object."""
    try:
        yield RawRow(root, file, 0, json.loads((root / file).read_bytes()))
    except (ValueError, RecursionError) as error:
        yield BadRow(str(root / file), None, f"not valid JSON: {error}")


def json_list(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The elements of a JSON list."""
    try:
        elements = json.loads((root / file).read_bytes())
    except (ValueError, RecursionError) as error:
        yield BadRow(str(root / file), None, f"not valid JSON: {error}")
        return
    if not isinstance(elements, list):
        yield BadRow(
            str(root / file), None, f"the file is not a JSON list: {type(elements).__name__}"
        )
        return
    for row, element in enumerate(elements):
        yield RawRow(root, file, row, element)


def json_lines(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The lines of a JSON Lines file; blank ones count as rows but are skipped."""
    with (root / file).open("rb") as lines:
        for row, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                yield RawRow(root, file, row, json.loads(line))
            except (ValueError, RecursionError) as error:
                yield BadRow(str(root / file), row, f"not valid JSON: {error}")


def letter_of(answer: str, choices: list[str]) -> str:
    """The letter of the one choice that equals ``answer``."""
    places = [place for place, choice in enumerate(choices) if choice == answer]
    if len(places) != 1:
        raise RowError(f"the answer is not exactly one of the choices: {answer!r} among {choices}")
    return letters(len(choices))[places[0]]


def number_or_none(answer: str) -> str | None:
    """``number`` for a plain integer or decimal; None leaves the type to the grader."""
    return "number" if NUMBER.fullmatch(answer.strip()) else None
