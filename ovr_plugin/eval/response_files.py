"""A file of responses in, its rows with their numbers out, whatever it is written in.

JSON Lines (packed too: ``.gz``), or by its ending ``.parquet``, ``.tsv``, ``.csv``, ``.xlsx`` or
``.json``. Only a JSON document is read whole. A row that cannot be read is an item like any other;
so is the rest of a file that breaks off.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast
from zipfile import BadZipFile

from ovr_plugin.reward.rows import read_jsonl

READ_AHEAD_BYTES = 1 << 20
Record = tuple[int, dict[str, Any] | ValueError]


def read_records(file: Path) -> Iterator[Record]:
    """Yield each row's number, from 1, and the row, or what is wrong with it.

    Raises:
        ValueError: none of the file can be read.
        OSError: it cannot be opened.
    """
    number = 0
    try:
        for number, row in _records(file):
            yield number, row
    except (OSError, ValueError) as error:
        if not number:
            raise
        yield number + 1, ValueError(f"the file breaks off: {error}")


def _records(file: Path) -> Iterator[Record]:
    if file.suffix == ".json" and not _has_lines(file):
        from ovr_plugin.data.files import read_json

        for number, row in enumerate(read_json(file), start=1):
            yield number, row if isinstance(row, dict) else ValueError("not an object")
    elif file.suffix in (".parquet", ".tsv", ".csv", ".xlsx"):
        yield from enumerate(_table(file), start=1)
    else:
        with _opened(file) as lines:
            try:
                yield from read_jsonl(lines)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"{file}: the packed file is damaged: {error}") from error


def _table(file: Path) -> Iterable[Any]:
    from ovr_plugin.data.files import read_csv, read_table

    if file.suffix == ".parquet":
        return read_table(file)
    if file.suffix == ".xlsx":
        return _spreadsheet(file)
    return read_csv(file, "\t" if file.suffix == ".tsv" else ",")


def _spreadsheet(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a workbook's first sheet by its header.

    Raises:
        ValueError: it is no workbook, or openpyxl is not there to read it.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise ValueError(
            f"{file}: reading a spreadsheet takes openpyxl: pip install openpyxl, or let "
            "VLMEvalKit write TSV (PRED_FORMAT=tsv)"
        ) from None
    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{file}: not a readable spreadsheet: {error}") from error
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(rows, ())]
        for row in rows:
            yield dict(zip(names, row, strict=False))
    finally:
        book.close()


def _opened(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file))
    return file.open("rb", buffering=READ_AHEAD_BYTES)  # a line is often some kilobytes


def _has_lines(file: Path) -> bool:
    """Whether it holds JSON Lines, whatever its name says."""
    with file.open("rb") as start:
        return not start.read(64).lstrip().startswith(b"[")
