"""What the readers share: raw rows with their place, checked fields, the type of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import read_csv, read_table
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import BadRow, Sample, letters
from ovr_plugin.reward.extract import extract_answer

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
            sample = to_sample(row)
            yield replace(sample, split=split_of(row.file)) if sample.split == "train" else sample
        except RowError as error:
            yield BadRow(str(row.root / row.file), row.row, str(error))


def split_of(file: str) -> str:
    """The split that a file's path names: test, val or train."""
    words = set(re.split(r"[^a-z]+", file.lower()))
    if "test" in words:
        return "test"
    return "val" if words & {"val", "dev", "valid", "validation"} else "train"


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


def json_values(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The values of a JSON object; each row gets its key under ``_key``."""
    for whole in json_object(root, file):
        if isinstance(whole, BadRow):
            yield whole
            return
        if not isinstance(whole.data, dict):
            reason = f"the file is not a JSON object: {type(whole.data).__name__}"
            yield BadRow(str(root / file), None, reason)
            return
        for row, (key, value) in enumerate(whole.data.items()):
            data = {**value, "_key": key} if isinstance(value, dict) else value
            yield RawRow(root, file, row, data)


def table(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of a file whose layout its name tells; a .json holds a list."""
    kind = Path(file).suffix
    readers = {
        ".jsonl": json_lines,
        ".json": json_list,
        ".parquet": parquet_rows,
        ".csv": csv_rows,
        ".tsv": tsv_rows,
    }
    if kind not in readers:
        yield BadRow(str(root / file), None, f"no table: {kind!r} is none of {', '.join(readers)}")
        return
    yield from readers[kind](root, file)


def parquet_rows(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of a parquet file, as on the Hub."""
    return _numbered(read_table(root / file), root, file)


def csv_rows(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of a CSV file with a header."""
    return _numbered(read_csv(root / file), root, file)


def tsv_rows(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of a tab-separated file with a header."""
    return _numbered(read_csv(root / file, delimiter="\t"), root, file)


def headless_csv(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """The rows of a CSV file without a header, each a list."""
    return _numbered(read_csv(root / file, header=False), root, file)


def _numbered(rows: Iterable[Any], root: Path, file: str) -> Iterator[RawRow | BadRow]:
    try:
        for row, data in enumerate(rows):
            yield RawRow(root, file, row, data)
    except ValueError as error:
        yield BadRow(str(root / file), None, str(error))


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


def picture_of(raw: RawRow, field: str = "image") -> ImageRef:
    """The picture in a row: the Hub's struct of bytes and path, or a path beside the file."""
    value = raw.field(field, (dict, str))
    if isinstance(value, str):
        return picture_at(raw, value)
    data, path = value.get("bytes"), value.get("path")
    if isinstance(data, bytes) and data:
        return ImageRef(data=data)
    if isinstance(path, str) and path:
        return picture_at(raw, path)
    raise RowError(f"no picture: {field!r} has neither bytes nor path")


def picture_at(raw: RawRow, path: str) -> ImageRef:
    """A picture named relative to the corpus or the row's file; it must lie inside the corpus."""
    if "://" in path:
        raise RowError(f"image given by URL: {path}; download it and give its path")
    root = raw.root.resolve()
    places = [(base / path).resolve() for base in (root, (root / raw.file).parent)]
    inside = [place for place in places if place.is_relative_to(root)]
    if not inside:
        raise RowError(f"the picture lies outside the corpus: {path}")
    for place in inside:
        if place.is_file():
            return ImageRef(path=str(place))
    raise RowError(f"the picture is not there: {path}")


def texts(raw: RawRow, name: str) -> list[str]:
    """A list of texts, or of numbers as texts."""
    values = raw.field(name, list)
    if not all(isinstance(value, str | int | float) for value in values):
        raise RowError(f"not a list of texts: {name!r} is {values!r:.60}")
    return [str(value).strip() for value in values]


def last_box(solution: str) -> str:
    """What the last box of a written solution holds; `RowError` if it has none."""
    answer = extract_answer(solution)
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
