"""A file of responses -> verdicts on all cores, in the file's order.

Algebra takes most of the time, and its workers are processes anyway. So one process reads text, so
far ahead of the verdicts that no slow answer leaves a worker idle; where there are many cores, as
many processes as keep them busy, each with workers of its own. (Threads would read text no faster,
and took a third more for changing over.) Memory is bounded by the rows under way, whatever the
file's length. A row that cannot be read is a result like any other.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ovr_plugin.eval.importers import imported, label_of
from ovr_plugin.eval.response_files import Record, read_records
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.rows import Fields
from ovr_plugin.reward.score import MAX_PRED_CHARS, grade_soon
from ovr_plugin.reward.settings import Settings

CHUNK_ROWS = 256
CHUNK_CHARS = 4_000_000  # long reasoning fills a chunk with fewer rows
ROWS_AHEAD = 512  # whose text was read, behind a slow answer; more only heats the caches
TASK_CHUNKS = 8  # that a process gets at once
CORES_A_PROCESS = (
    4  # of algebra for one of text; with less than two such groups one process will do
)


@dataclass(frozen=True)
class Regrade:
    """How a file is read and graded.

    Attributes:
        file: what `ovr_plugin.eval.response_files` reads.
        fields: where a record has what.
        label_field: where it says whether it is right; None tries the usual names.
        settings: of grading.
    """

    file: Path
    fields: Fields = field(default_factory=Fields)
    label_field: str | None = None
    settings: Settings = field(default_factory=Settings)


@dataclass(slots=True)
class Verdict:
    """One row: its number in the file, from 1, what became of it, and the label it came with."""

    number: int
    source: str = ""
    outcome: str = ""
    score: float = 0.0
    label: bool | None = None
    label_error: str = ""  # why a label that is there, or was named, cannot be read
    answer: str = ""
    reference: str = ""
    reason: str = ""
    error: str = ""  # why the row cannot be read

    @property
    def disagrees(self) -> bool:
        """Whether the row has a label that says otherwise."""
        return self.label is not None and not self.error and self.label != (self.score == 1.0)


def n_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def regrade(how: Regrade, n_processes: int | None = None) -> Iterator[Verdict]:
    """Yield a verdict for every row, in order.

    Raises:
        ValueError: the file cannot be read; the message says the way out.
        OSError: it cannot be opened.
    """
    records = read_records(how.file)
    n_processes = n_processes or max(1, n_cores() // CORES_A_PROCESS)
    if how.settings.n_workers is None:  # or every process would start as many as it likes
        n_workers = max(2, n_cores() // n_processes)
        how = replace(how, settings=replace(how.settings, n_workers=n_workers))
    if n_processes == 1:
        yield from _graded(how, records)
        return
    tasks = _chunks(records, TASK_CHUNKS)
    first = list(islice(tasks, 2))
    if len(first) < 2:  # what one task holds is not worth processes
        yield from _graded(how, chain.from_iterable(first))
        return
    with ProcessPoolExecutor(n_processes, get_context("spawn")) as processes:
        for verdicts in _in_order(processes, how, chain(first, tasks), n_processes):
            yield from verdicts


def _graded_task(how: Regrade, records: list[Record]) -> list[Verdict]:
    return list(_graded(how, records))


def _graded(how: Regrade, records: Iterable[Record]) -> Iterator[Verdict]:
    pool = _pool(how.settings)
    waiting: deque[Callable[[], Verdict]] = deque()
    for number, record in records:
        for sample in _samples(how, record):
            waiting.append(_begun(how, pool, number, sample))
            if len(waiting) > ROWS_AHEAD:
                yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def _samples(
    how: Regrade, record: dict[str, Any] | ValueError
) -> Sequence[dict[str, Any] | ValueError]:
    """What one row holds: several responses, where a kit sampled several."""
    try:
        if isinstance(record, ValueError):
            return [record]
        return imported(record, how.file, how.fields.response, how.label_field)
    except ValueError as error:
        return [error]


def _chunks(records: Iterable[Record], n: int = 1) -> Iterator[list[Record]]:
    """Group rows, as many as ``n`` chunks hold of rows and of text."""
    chunk: list[Record] = []
    n_chars = 0
    for record in records:
        chunk.append(record)
        n_chars += _n_chars(record[1])
        if len(chunk) >= n * CHUNK_ROWS or n_chars >= n * CHUNK_CHARS:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def _n_chars(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_n_chars, value.values()))
    return sum(map(_n_chars, value)) if isinstance(value, list) else 0


def _in_order(
    processes: ProcessPoolExecutor,
    how: Regrade,
    chunks: Iterable[list[Record]],
    n_ahead: int,
) -> Iterator[list[Verdict]]:
    """Yield the chunks' verdicts in order; at most ``n_ahead`` are done before the next one."""
    waiting: deque[Future[list[Verdict]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(processes.submit(_graded_task, how, chunk))
            if len(waiting) > n_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


_pools: dict[Settings, Pool] = {}
_pools_lock = threading.Lock()


def _pool(settings: Settings) -> Pool:
    """One pool for each process and its settings."""
    with _pools_lock:
        if settings not in _pools:
            _pools[settings] = settings.make_pool()
        return _pools[settings]


def _begun(
    how: Regrade, pool: Pool, number: int, record: dict[str, Any] | ValueError
) -> Callable[[], Verdict]:
    """Grade a row as far as text goes; the response is not kept."""
    try:
        if isinstance(record, ValueError):
            raise record
        row = how.fields.read(record)
        if not row.response and how.fields.lacks_response(record):
            raise ValueError("the response is missing")
    except ValueError as error:
        unread = Verdict(number, error=str(error))
        return lambda: unread
    label, label_error = None, ""
    try:
        label = label_of(record, how.label_field)
    except ValueError as error:
        label_error = str(error)[:MAX_PRED_CHARS]
    finish = grade_soon(
        row.response,
        row.reference,
        row.extra_info,
        data_source=row.data_source,
        policy=how.settings.policy,
        pool=pool,
    )
    source, reference = row.data_source or "", str(row.reference)[:MAX_PRED_CHARS]

    def verdict() -> Verdict:
        graded = finish()
        return Verdict(
            number,
            source,
            graded.outcome.value,
            graded.score,
            label,
            label_error,
            graded.extracted[:MAX_PRED_CHARS],
            reference,
            graded.reason,
        )

    return verdict


@dataclass
class Summary:
    """Counts over verdicts: by source, by outcome, and against the labels."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    labels: Counter[tuple[bool, bool]] = field(default_factory=Counter)  # (label, ours)
    n_label_errors: int = 0
    label_error: Verdict | None = None  # the first
    n_unread: int = 0
    unread: list[Verdict] = field(default_factory=list)
    disagreements: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict, n_kept: int = 20) -> None:
        """Count a verdict; keep the first ``n_kept`` that disagree or cannot be read."""
        if verdict.error:
            self.n_unread += 1
            self.unread += [verdict] if len(self.unread) < n_kept else []
            return
        if verdict.source not in self.outcomes:
            self.outcomes[verdict.source] = Counter()
        self.outcomes[verdict.source][verdict.outcome] += 1
        if verdict.label is not None:
            self.labels[verdict.label, verdict.score == 1.0] += 1
        if verdict.label_error:
            self.n_label_errors += 1
            self.label_error = self.label_error or verdict
        if verdict.disagrees and len(self.disagreements) < n_kept:
            self.disagreements.append(verdict)

    @property
    def n_rows(self) -> int:
        """Rows that were graded."""
        return sum(counts.total() for counts in self.outcomes.values())

    def accuracy(self, source: str | None = None) -> float:
        """The share of right rows, of all or of a source, in percent; nan for none."""
        counts = self.total() if source is None else self.outcomes[source]
        return 100.0 * counts["correct"] / counts.total() if counts else float("nan")

    def total(self) -> Counter[str]:
        """The outcomes over all sources."""
        return sum(self.outcomes.values(), Counter())
