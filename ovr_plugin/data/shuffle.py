"""Chunks of rows in, the same rows in another order out, without having them all in memory.

Rows go to buckets on disk by where they will stand, and a bucket is put in order when it is read:
what is in memory at a time is one bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

BUCKET_BYTES = 8 << 20
MAX_BUCKETS = 200  # files open at a time; buckets grow beyond their size when there are more
RANK = "_rank"


def in_order(
    chunks: Iterable[tuple[pa.Table, np.ndarray, np.ndarray]],
    n_rows: int,
    n_bytes: int,
    folder: Path,
) -> Iterator[dict[str, Any]]:
    """Rows in the order of their ranks.

    Args:
        chunks: tables, each with the positions of the rows to take (repeats allowed) and the rank
            of each, 0 to ``n_rows``.
        n_rows: rows in all.
        n_bytes: about how large they are in all.
        folder: for the buckets; emptied of them at the end.
    """
    n_buckets = min(max(n_bytes // BUCKET_BYTES, 1), MAX_BUCKETS)
    size = -(-n_rows // n_buckets) if n_rows else 1
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"bucket-{n:03d}.arrows" for n in range(n_buckets)]
    try:
        _fill(paths, chunks, size)
        for path in paths:
            if path.exists():
                yield from _ordered(path)
                path.unlink()
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _fill(
    paths: list[Path], chunks: Iterable[tuple[pa.Table, np.ndarray, np.ndarray]], size: int
) -> None:
    with ExitStack() as stack:
        writers: dict[int, Any] = {}
        for table, positions, ranks in chunks:
            for bucket in np.unique(ranks // size).tolist():
                here = ranks // size == bucket
                rows = table.take(pa.array(positions[here]))
                rows = rows.append_column(RANK, pa.array(ranks[here]))
                if bucket not in writers:
                    sink = stack.enter_context(pa.OSFile(str(paths[bucket]), "wb"))
                    writers[bucket] = stack.enter_context(pa.ipc.new_stream(sink, rows.schema))
                writers[bucket].write_table(rows)


def _ordered(path: Path) -> Iterator[dict[str, Any]]:
    with pa.OSFile(str(path)) as source:
        # In one piece: taking rows of several joins all of them, each time.
        table = pa.ipc.open_stream(source).read_all().combine_chunks()
    order = np.argsort(table.column(RANK).to_numpy(), kind="stable")
    rows = table.drop_columns([RANK])
    for start in range(0, len(order), 256):
        yield from rows.take(pa.array(order[start : start + 256])).to_pylist()
