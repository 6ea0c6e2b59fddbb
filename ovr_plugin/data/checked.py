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

from ovr_plugin.data.files import MappedRows, Record, write_json
from ovr_plugin.data.sample import BadRow

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
    ):
        policy = config.get("bad_rows", "raise")
        if policy not in POLICIES:
            raise ValueError(
                f"data.bad_rows is {policy!r}; it must be one of {', '.join(POLICIES)}"
            )
        self.rows: MappedRows[Record] = MappedRows(files, kind, config.get("cache_dir"))
        self.bad: list[BadRow] = []
        self._digest = hashlib.sha256()
        wanted = _choose(len(self.rows), max_samples, config)
        kept = [i for i, record in self._records(wanted) if self._is_good(i, record, check)]
        self.kept = np.array(kept, dtype=np.int64)
        self.fingerprint = self._digest.hexdigest()
        del self._digest  # a hash object cannot be pickled
        self._report(policy)

    def _records(self, wanted: Sequence[int]) -> Iterator[tuple[int, Record]]:
        # Row by row costs ten times what reading the files through does.
        if isinstance(wanted, range):
            return zip(wanted, self.rows, strict=False)
        return ((index, self.rows[index]) for index in wanted)

    def _is_good(self, index: int, record: Record, check: Callable[[Record], list[str]]) -> bool:
        reasons = check(record)
        if reasons:
            file, row = self.rows.place(index)
            self.bad.append(BadRow(file, row, "; ".join(reasons)))
        else:
            self._digest.update(repr((record.id, record.prompt)).encode())
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

    def __getitem__(self, item: int) -> Record:
        return self.rows[int(self.kept[item])]


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
