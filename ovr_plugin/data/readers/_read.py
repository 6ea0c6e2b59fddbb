"""The loop of every reader: the corpus's files, their rows, a record or a bad row of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ovr_plugin.data.readers._corpus import Location, corpus_files
from ovr_plugin.data.readers._rows import RawRow, Record, convert, is_unicode
from ovr_plugin.data.readers._tables import RawRows, table
from ovr_plugin.data.sample import BadRow, BrokenFile

Rows = Callable[[Path, str], RawRows]


def read_files(
    location: Location,
    patterns: Iterable[str],
    to_record: Callable[[RawRow], Record],
    rows: Rows = table,
) -> Iterator[Record | BadRow]:
    """Every row of the files of a corpus that match.

    Args:
        location: folder, file, archive or ``hub:NAME`` (`ovr_plugin.data.readers._corpus`).
        patterns: globs of the corpus's files.
        to_record: makes the record, or raises `RowError` with the reason why it cannot be one.
        rows: the rows of one file.
    """
    for root, file in corpus_files(location, patterns):
        if not is_unicode(file):
            told = f"{root / file}".encode(errors="backslashreplace").decode()
            yield BrokenFile(told, None, "the file's name is not valid UTF-8: rename it")
            continue
        yield from convert(rows(root, file), to_record)
