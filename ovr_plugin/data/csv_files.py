"""A user's CSV file in, its rows out: a broken row costs that row, and says where it is.

The package itself keeps nothing in CSV. Text must be in UTF-8 (RFC 4180's quoting).
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

MAX_FIELD_CHARS = 2**26  # a picture in base64 is one field
CONVERT = "CSV must be in UTF-8: convert the file"


def read_csv(
    path: str | Path, delimiter: str = ",", header: bool = True
) -> Iterator[dict[str, Any] | list[str] | ValueError]:
    """Yield a CSV file's rows, dicts by its header or else lists.

    A row that cannot be used takes its place as a ValueError, not raised: it has more cells than
    the header, a quote in a wrong place, or text that is not UTF-8.

    Raises:
        ValueError: the file, or the rest of it, cannot be read.
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    with Path(path).open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ValueError(f"not valid UTF-8: the file is in UTF-16; {CONVERT}")
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = _csv_rows(csv.reader(lines, delimiter=delimiter, strict=True))
        if not header:
            yield from rows
            return
        names = next((row for row in rows if row), [])
        if isinstance(names, ValueError):
            raise ValueError(f"not a readable header: {names}")
        for cells in rows:
            if isinstance(cells, ValueError):
                yield cells
            elif len(cells) > len(names):
                yield ValueError(f"more cells than the header: {len(cells)}, not {len(names)}")
            elif cells:
                yield dict(zip_longest(names, cells))


def _csv_rows(reader: Any) -> Iterator[list[str] | ValueError]:
    """The rows of a strict ``csv.reader``, which goes on in the next line after an error."""
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                raise ValueError(
                    "a quote is never closed: it opens in the row that begins in line "
                    f"{first}; the rest of the file was not read"
                ) from error
            last = reader.line_num
            lines = f"line {first}" if first == last else f"lines {first}-{last}"
            yield ValueError(f"not a readable CSV row: {lines}: {error}")
            continue
        problem = _text_problem(cells)
        yield ValueError(problem) if problem else cells


def _text_problem(cells: list[str]) -> str | None:
    for place, cell in enumerate(cells):
        if "\0" in cell:
            return f"a NUL character in the text: cell {place}"
        if cell.isascii():
            continue
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            byte = ord(cell[error.start]) - 0xDC00  # as ``surrogateescape`` writes it
            return f"not valid UTF-8: byte 0x{byte:02x} in cell {place}; {CONVERT}"
    return None
