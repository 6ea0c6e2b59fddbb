"""Every format this package keeps on disk: parquet tables, JSON Lines, JSON, numpy arrays.

Records (``Sample``, ``ColdStartSample``, plain dicts) go in, files come out, and back. Whole files
are written beside their destination and renamed, so a reader never sees half of one, and the same
records give the same bytes. A JSON Lines file may be cut by a crash in its last line: reading warns
and goes on, appending removes the torn line first. Errors name the file and the row (from 0).
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ovr_plugin.data.csv_files import read_csv as read_csv
from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.data.schema import differences

Record = TypeVar("Record", Sample, ColdStartSample)
ROWS_AT_ONCE = 256
# Of a parquet file's row group. What is kept of a group until the file is closed would show in
# memory with millions of rows; reading one picture should not decode hundreds of others.
GROUP_ROWS = 4096
GROUP_BYTES = 8 << 20


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path`` once the block has succeeded."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # The mask can only be read by setting it; mkstemp's 0600 would hide the file from other users.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_parquet(path: str | Path, records: Iterable[Record], kind: type[Record]) -> int:
    """Write ``records`` with the schema of their ``kind``; returns the number of rows.

    Raises:
        ValueError: a record does not fit the schema (the message names file and row).
    """
    schema = kind.schema
    remaining = iter(records)
    n_rows = 0
    group: list[pa.Table] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while rows := [record.to_row() for record in islice(remaining, ROWS_AT_ONCE)]:
            try:
                group.append(pa.Table.from_pylist(rows, schema=schema))
            except (pa.ArrowException, OverflowError, TypeError) as error:
                raise _row_error(path, rows, n_rows, schema, error) from error
            n_rows += len(rows)
            if _is_full(group):
                writer.write_table(pa.concat_tables(group))
                group.clear()
        if group or not n_rows:
            writer.write_table(pa.concat_tables(group) if group else schema.empty_table())
    return n_rows


def _is_full(group: Sequence[pa.Table]) -> bool:
    return sum(map(len, group)) >= GROUP_ROWS or sum(table.nbytes for table in group) >= GROUP_BYTES


def _row_error(
    path: str | Path, rows: list[dict[str, Any]], first: int, schema: pa.Schema, error: Exception
) -> ValueError:
    for row, values in enumerate(rows, start=first):
        try:
            pa.Table.from_pylist([values], schema=schema)
        except (pa.ArrowException, OverflowError, TypeError) as reason:
            return ValueError(f"{path}: row {row} does not fit the schema: {reason}")
    return ValueError(f"{path}: rows from {first} do not fit the schema: {error}")


def read_parquet(path: str | Path, kind: type[Record]) -> Iterator[Record]:
    """Yield the records of a parquet file written by `write_parquet`, in order."""
    check_schema(path, kind)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield kind.from_row(row)


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of any parquet file, a batch at a time.

    Args:
        path: the file.
        columns: read only those of these that the file has; None: all.

    Raises:
        ValueError: the file, or the rest of it, cannot be read; the message says from which row.
    """
    n_rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal n_rows
        with pq.ParquetFile(path) as file:
            n_rows = file.metadata.num_rows
            kept = _present(columns, file.schema_arrow)
            for group in range(file.num_row_groups):  # a broken one must not cost the one before
                yield from file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=kept)

    yield from _rows_of(batches(), "parquet", lambda: f" of {n_rows}" if n_rows else "")


def read_arrow(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """As `read_table`, of an Arrow file or stream, as ``datasets`` saves and caches tables."""

    def batches() -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(path)) as source:
            try:
                found = iter(pa.ipc.open_stream(source))
            except pa.ArrowInvalid:
                file = pa.ipc.open_file(source)
                found = (file.get_batch(i) for i in range(file.num_record_batches))
            for batch in found:
                kept = _present(columns, batch.schema)
                batch = batch if kept is None else batch.select(kept)
                for start in range(0, len(batch), ROWS_AT_ONCE):
                    yield batch.slice(start, ROWS_AT_ONCE)

    yield from _rows_of(batches(), "Arrow")


def _present(columns: Sequence[str] | None, schema: pa.Schema) -> list[str] | None:
    return None if columns is None else [name for name in columns if name in schema.names]


def _rows_of(
    batches: Iterator[pa.RecordBatch], kind: str, in_all: Callable[[], str] = str
) -> Iterator[dict[str, Any]]:
    row = 0
    try:
        for batch in batches:
            for values in batch.to_pylist():
                yield values
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"not a readable {kind} file, from row {row}{in_all()}: {error}"
        ) from error


def count_rows(paths: Iterable[str | Path]) -> int:
    """The rows of parquet files in all, from their footers."""
    return sum(pq.read_metadata(path).num_rows for path in paths)


def check_schema(path: str | Path, kind: type[Sample] | type[ColdStartSample]) -> None:
    """Raise unless the file has exactly the columns of ``kind.schema``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a parquet file, or other columns; the message lists every difference.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        found = pq.read_schema(path)
    except pa.ArrowException as error:
        raise ValueError(f"{path}: not a readable parquet file: {error}") from error
    found_differences = differences(found, kind.schema)
    if found_differences:
        raise ValueError(
            f"{path}: not the columns of {kind.__name__}: {'; '.join(found_differences)}. "
            "Write it with ovr_plugin.data.files.write_parquet or ovr_plugin.data.prepare."
        )


class MappedRows(Generic[Record]):
    """Random access to the rows of several parquet files, which stay on disk (memory-mapped).

    ``datasets`` converts each file once into its cache; a picture's bytes are read with its row.

    Args:
        files: parquet files of ``kind``; see `check_schema` for what they must be.
        kind: the record class.
        cache_dir: where ``datasets`` keeps the converted files; None for its default.
    """

    def __init__(
        self, files: Sequence[str | Path], kind: type[Record], cache_dir: str | None = None
    ):
        import datasets

        for file in files:
            check_schema(file, kind)
        self.kind: type[Record] = kind
        self.files = [str(file) for file in files]
        self.tables = [
            datasets.Dataset.from_parquet(file, cache_dir=cache_dir).with_format("arrow")
            for file in self.files
        ]
        self.starts = [0, *accumulate(len(table) for table in self.tables)]

    def __len__(self) -> int:
        return self.starts[-1]

    def arrow_tables(self) -> list[pa.Table]:
        """The files as Arrow tables on the disk, one each."""
        return [table.data.table for table in self.tables]

    def place(self, index: int) -> tuple[str, int]:
        """The file of a row, and its number there."""
        table = bisect_right(self.starts, index) - 1
        return self.files[table], index - self.starts[table]

    def __getitem__(self, index: int) -> Record:
        table = bisect_right(self.starts, index) - 1
        (row,) = self.tables[table][[index - self.starts[table]]].to_pylist()
        return self.kind.from_row(row)

    def __iter__(self) -> Iterator[Record]:
        for table in self.tables:
            for batch in table.iter(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield self.kind.from_row(row)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array in numpy's format, to be memory-mapped with ``np.load(mmap_mode="r")``."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # Not the file itself: numpy would write it in C, and not say why when the disk is full.
        np.save(_Written(file.write), array)


class _Written(NamedTuple):
    write: Callable[[bytes], int]


def read_json(path: str | Path) -> Any:
    """Read one JSON document; ValueError with the file's name if it is not one."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # also a UnicodeDecodeError
        raise ValueError(f"{path}: not valid JSON: {error}") from error


def write_json(path: str | Path, data: Any) -> None:
    """Write one JSON document, indented."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_jsonl(path: str | Path, records: Iterable[Any]) -> None:
    """Write a whole JSON Lines file."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_line(record) for record in records)


def append_jsonl(path: str | Path, *records: Any) -> None:
    """Append records to a JSON Lines file, first removing a last line that a crash cut short."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        _end_last_line(path, file)
        file.write("".join(_line(record) for record in records).encode())


def _line(record: Any) -> str:
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON has and UTF-8 has not
        line = json.dumps(record) + "\n"
    return line


def _end_last_line(path: Path, file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    tail = _after_last_newline(file, size)
    if not tail:
        return
    if _is_json(tail):
        file.write(b"\n")
        return
    warnings.warn(f"{path}: the torn last line ({len(tail)} bytes) was removed", stacklevel=3)
    file.truncate(size - len(tail))


def _after_last_newline(file: Any, size: int, chunk: int = 1 << 16) -> bytes:
    tail = b""
    position = size
    while position > 0 and b"\n" not in tail:
        step = min(chunk, position)
        position -= step
        file.seek(position)
        tail = file.read(step) + tail
    file.seek(0, os.SEEK_END)
    return tail.rpartition(b"\n")[2]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def read_jsonl(path: str | Path, on_broken: Callable[[int], None] | None = None) -> Iterator[Any]:
    """Yield the records of a JSON Lines file; blank lines are skipped.

    A last line without its newline that is not JSON was cut by a crash: it is left out with a
    warning that names it. Any other broken line raises ValueError with file and line (from 1), or
    is left out, and ``on_broken`` gets its number.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                if line.endswith(b"\n") and on_broken is not None:
                    on_broken(number)
                    continue
                if line.endswith(b"\n"):
                    raise ValueError(f"{path}: line {number} is not JSON: {error}") from error
                warnings.warn(
                    f"{path}: line {number}, the last, is torn and was left out", stacklevel=2
                )
