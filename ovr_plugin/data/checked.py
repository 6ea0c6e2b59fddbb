"""The good rows of parquet files: every defect is found when training starts, not in mid-run.

All rows are checked once at construction, without decoding pictures, and all defects are collected.
The policy decides what they mean: ``raise`` stops with the list, ``report`` leaves the rows out. In
both cases ``<file>.bad_rows.json`` beside the data names each row.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ovr_plugin.data.files import MappedRows, Record, write_json
from ovr_plugin.data.sample import BadRow
from ovr_plugin.data.screen import large_batches

logger = logging.getLogger(__name__)

POLICIES = ("raise", "report")
N_SHOWN = 10


class CheckedRows(Generic[Record]):
    """The rows for which ``check`` finds no problem, by position.

    Args:
        files: parquet files of ``kind``.
        kind: the record class.
        check: all problems of a record, in words.
        config: veRL's data config: ``bad_rows`` (the policy, default ``raise``), ``cache_dir``, and
            ``shuffle`` and ``seed``, which say how ``max_samples`` are chosen.
        max_samples: take no more rows than this (-1: all); a random choice if ``shuffle``.
        screen: which rows of an Arrow table are surely good, so that ``check`` need not see them.

    Raises:
        ValueError: bad rows under ``raise``, no good row at all, or an unknown policy.
    """

    def __init__(
        self,
        files: Sequence[str],
        kind: type[Record],
        check: Callable[[Record], list[str]],
        config: Any,
        max_samples: int = -1,
        screen: Callable[[pa.Table], np.ndarray] | None = None,
    ):
        policy = config.get("bad_rows", "raise")
        if policy not in POLICIES:
            raise ValueError(
                f"data.bad_rows is {policy!r}; it must be one of {', '.join(POLICIES)}"
            )
        self.rows: MappedRows[Record] = MappedRows(files, kind, config.get("cache_dir"))
        self.bad: list[BadRow] = []
        wanted = np.asarray(_choose(len(self.rows), max_samples, config), dtype=np.int64)
        good = np.zeros(len(self.rows), dtype=bool)
        if screen is not None:
            good = np.concatenate([screen(table) for table in self.rows.arrow_tables()])
        doubtful = wanted[~good[wanted]]
        good[[i for i, record in self._records(doubtful) if self._is_good(i, record, check)]] = True
        self.kept = wanted[good[wanted]]
        self.fingerprint = _fingerprint(self.rows.arrow_tables(), self.kept)
        self._report(policy)

    def _records(self, wanted: np.ndarray) -> Iterator[tuple[int, Record]]:
        # Row by row costs ten times what reading the files through does.
        if len(wanted) * 10 < len(self.rows) or (np.diff(wanted) < 0).any():
            yield from ((index, self.rows[index]) for index in wanted.tolist())
            return
        remaining = iter(wanted.tolist())
        next_wanted = next(remaining, -1)
        for index, record in enumerate(self.rows):
            if index == next_wanted:
                yield index, record
                next_wanted = next(remaining, -1)
            if next_wanted < 0:
                return

    def _is_good(self, index: int, record: Record, check: Callable[[Record], list[str]]) -> bool:
        reasons = check(record)
        if reasons:
            file, row = self.rows.place(index)
            self.bad.append(BadRow(file, row, "; ".join(reasons)))
        return not reasons

    def _report(self, policy: str) -> None:
        if self.bad:
            written = write_reports(self.bad)
            message = _summary(self.bad, len(self.kept), written)
            if policy == "raise":
                raise ValueError(
                    f"{message}\nMend the file, or set data.bad_rows=report to train without them."
                )
            logger.warning(message)
        if not len(self.kept):
            raise ValueError(f"no usable row in {', '.join(self.rows.files)}")

    def __len__(self) -> int:
        return len(self.kept)

    def place(self, item: int) -> tuple[str, int]:
        """The file of a kept row, and its number there."""
        return self.rows.place(int(self.kept[item]))

    def __getitem__(self, item: int) -> Record:
        return self.rows[int(self.kept[item])]


def _fingerprint(tables: Sequence[pa.Table], kept: np.ndarray) -> str:
    """A digest of ids, prompts and which rows are kept; it does not depend on how files are cut."""
    ids, texts = hashlib.sha256(), hashlib.sha256()
    for table in tables:
        for batch in large_batches(table, ["extra_info", "prompt"]):
            names = pc.struct_field(batch.column(0), "id").to_pylist()
            turns = batch.column(1).flatten()
            said = zip(
                *(pc.struct_field(turns, key).to_pylist() for key in ("role", "content")),
                strict=True,
            )
            ids.update("".join(f"{name!r}\n" for name in names).encode())
            texts.update("".join(f"{turn!r}\n" for turn in said).encode())
    return hashlib.sha256(ids.digest() + texts.digest() + kept.tobytes()).hexdigest()


def _choose(n_rows: int, max_samples: int, config: Any) -> Sequence[int]:
    """The rows to use, chosen as veRL's own datasets choose them."""
    if not 0 < max_samples < n_rows:
        return range(n_rows)
    if not config.get("shuffle", False):
        return range(max_samples)
    generator = np.random.default_rng(config.get("seed"))
    chosen: list[int] = generator.choice(n_rows, size=max_samples, replace=False).tolist()
    return chosen


def write_reports(bad_rows: Sequence[BadRow]) -> list[str]:
    """Write ``<file>.bad_rows.json`` for each file with bad rows; returns the paths written."""
    written = []
    for file in sorted({bad.file for bad in bad_rows}):
        path = Path(f"{file}.bad_rows.json")
        try:
            write_json(path, [asdict(bad) for bad in bad_rows if bad.file == file])
        except OSError as error:  # data on a read-only disk; the log still has the summary
            logger.warning("%s could not be written: %s", path, error)
        else:
            written.append(str(path))
    return written


def _summary(bad_rows: Sequence[BadRow], n_good: int, written: Sequence[str]) -> str:
    lines = [f"{len(bad_rows)} bad rows beside {n_good} good ones:"]
    lines += [f"  {bad}" for bad in bad_rows[:N_SHOWN]]
    if len(bad_rows) > N_SHOWN:
        lines.append(f"  ... and {len(bad_rows) - N_SHOWN} more")
    lines += [f"All of them are listed in {path}" for path in written]
    return "\n".join(lines)


def file_list(files: Any) -> list[str]:
    """One path or several (list, tuple, omegaconf's list) as a list of paths, ``~`` expanded."""
    several: Iterator[Any] = iter([files]) if isinstance(files, str | Path) else iter(files or [])
    paths = [str(Path(file).expanduser()) for file in several]
    if not paths:
        raise ValueError("no data file is given (data.train_files, data.val_files)")
    return paths
