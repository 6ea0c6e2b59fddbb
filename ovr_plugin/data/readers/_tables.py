"""A file of a corpus in, its raw rows out, one at a time: memory does not grow with the file.

The layout follows from the name and, for ``.json``, from the content: a list, JSON Lines or one
object. A row that cannot be read is a `BadRow`; where the rest of a file is lost with it, because
the file is cut or no more can be told apart, a `BrokenFile`. The rows before it are not lost.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ovr_plugin.data.files import read_arrow, read_csv, read_table
from ovr_plugin.data.readers._json_stream import list_elements, object_members
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.sample import BadRow, BrokenFile

TABLES = tuple(
    f"**/*{kind}"
    for kind in (".parquet", ".arrow", ".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".tsv")
)
RawRows = Iterator[RawRow | BadRow]
INVALID = "not valid JSON"
UNREADABLE = (OSError, EOFError, zlib.error)  # a disk, a cut or a broken gzip file
N_SNIFFED = 20


def table(root: Path, file: str, fields: tuple[str, ...] | None = None) -> RawRows:
    """The rows of any file of `TABLES`.

    Args:
        root: of the corpus.
        file: below it.
        fields: read no other columns, where the format lets them be skipped; None: all.
    """
    name = file.removesuffix(".gz")
    if name.endswith(".jsonl"):
        return json_lines(root, file)
    if name.endswith(".json"):
        return _json(root, file)
    if name.endswith(".parquet"):
        return _numbered(read_table(root / file, fields), root, file)
    if name.endswith(".arrow"):
        return _numbered(read_arrow(root / file, fields), root, file)
    if name.endswith((".csv", ".tsv")):
        delimiter = "\t" if name.endswith(".tsv") else ","
        return _numbered(read_csv(root / file, delimiter), root, file)
    kinds = ", ".join(pattern.removeprefix("**/*") for pattern in TABLES)
    return iter([BrokenFile(str(root / file), None, f"no table: {file!r} is none of {kinds}")])


def headless_csv(root: Path, file: str) -> RawRows:
    """The rows of a CSV file without a header, each a list."""
    return _numbered(read_csv(root / file, header=False), root, file)


def json_lines(root: Path, file: str) -> RawRows:
    """The lines of a JSON Lines file; blank ones count as rows but are skipped."""
    row = -1
    try:
        with _open(root / file) as lines:
            for row, line in enumerate(lines):
                if not line.strip():
                    continue
                try:
                    yield RawRow(root, file, row, json.loads(line))
                except (ValueError, RecursionError) as error:
                    yield BadRow(str(root / file), row, f"{INVALID}: {error}")
    except UNREADABLE as error:
        yield BrokenFile(str(root / file), row + 1, f"cannot be read to its end: {error}")


def jsonl_or_table(root: Path, file: str) -> RawRows:
    """As `table`, for a corpus whose JSON Lines are called ``.json``."""
    return json_lines(root, file) if file.endswith(".json") else table(root, file)


def json_list(root: Path, file: str, within: str = "") -> RawRows:
    """The elements of a JSON list, or of the list that is the member ``within`` of an object."""
    return _streamed(root, file, lambda stream: list_elements(stream, within))


def json_values(root: Path, file: str) -> RawRows:
    """The values of a JSON object; each row gets its key under ``_key``."""
    return _streamed(root, file, lambda stream: map(_with_key, object_members(stream)))


def _with_key(member: tuple[str, Any]) -> Any:
    key, value = member
    return {**value, "_key": key} if isinstance(value, dict) else value


def _streamed(root: Path, file: str, elements: Callable[[BinaryIO], Iterator[Any]]) -> RawRows:
    row = 0
    try:
        with _open(root / file) as stream:
            for element in elements(stream):
                yield RawRow(root, file, row, element)
                row += 1
    except (ValueError, RecursionError, *UNREADABLE) as error:
        reason = f"{INVALID}: from row {row}: {error!s:.200}; the rest of the file was not read"
        yield BrokenFile(str(root / file), row, reason)


def _json(root: Path, file: str) -> RawRows:
    """A list, JSON Lines in spite of the name, or a single object."""
    try:
        with _open(root / file) as stream:
            if stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
                return json_list(root, file)
            stream.seek(0)
            lines = list(islice((line for line in stream if line.strip()), N_SNIFFED))
    except UNREADABLE as error:
        return iter([BrokenFile(str(root / file), None, f"cannot be read: {error}")])
    if any(map(_is_row, lines)) or (len(lines) > 1 and lines[1].startswith(b"{")):
        return json_lines(root, file)
    return _json_object(root, file)


def _json_object(root: Path, file: str) -> RawRows:
    """A file of one row, as corpora have that give each problem a folder."""
    start = b""
    try:
        with _open(root / file) as stream:
            start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        with _open(root / file) as stream:
            yield RawRow(root, file, 0, json.load(stream))
    except (ValueError, RecursionError, *UNREADABLE) as error:
        kind = BadRow if start.startswith(b"{") or not start else BrokenFile
        yield kind(str(root / file), None, f"{INVALID}: {error}")


def _is_row(line: bytes) -> bool:
    """Whether a line is a whole object; of an object that is written over lines, none is."""
    if not line.startswith((b"{", b"\xef\xbb\xbf{")):
        return False
    try:
        return bool(json.loads(line))
    except (ValueError, RecursionError):
        return False


def _open(path: Path) -> BinaryIO:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _numbered(rows: Iterable[Any], root: Path, file: str) -> RawRows:
    row = -1
    try:
        for row, data in enumerate(rows):
            if isinstance(data, ValueError):
                yield BadRow(str(root / file), row, str(data))
            else:
                yield RawRow(root, file, row, data)
    except (ValueError, OSError) as error:
        yield BrokenFile(str(root / file), row + 1 or None, str(error))
