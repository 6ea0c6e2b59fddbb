"""Settings and rows in, grades out, with every outcome counted: what all adapters call.

A reference that cannot be graded must not pass for a weak policy. So it is counted in this process
(`outcome_counts`) and logged as a warning, the first and then the 10th, the 100th, ...; adapters
also report it in whatever metrics their host has.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ovr_plugin.adapters.columns import read_row, split_columns
from ovr_plugin.adapters.messages import response_text
from ovr_plugin.reward import Grade, Outcome, Pool, grade, grade_async, grade_batch
from ovr_plugin.reward.rows import Row
from ovr_plugin.reward.settings import Settings

logger = logging.getLogger(__name__)
SHOWN_CHARS = 200  # of a bad reference, in the log


@dataclass(frozen=True)
class Grader:
    """How to grade: settings, and the reference's column (None: `columns.REFERENCES`)."""

    settings: Settings = field(default_factory=Settings)
    reference: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], reference: str | None = None) -> Grader:
        """Check settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`Settings.keys`).

        Raises:
            ValueError: naming every unknown setting and every wrong value.
        """
        return cls(Settings.of(settings, "the reward's settings"), reference)

    def grade(self, completion: Any, record: Mapping[str, Any], truncated: bool = False) -> Grade:
        """Grade one completion of a row, from any thread.

        Raises:
            TypeError: if the completion is neither text nor messages.
            ValueError: if the row has no column for its reference.
        """
        row = self._row(completion, record, truncated)
        graded = grade(row.response, row.reference, row.extra_info, **self._how(row))
        _count([row], [graded])
        return graded

    async def grade_async(
        self, completion: Any, record: Mapping[str, Any], truncated: bool = False
    ) -> Grade:
        """`grade`, without holding up the event loop."""
        row = self._row(completion, record, truncated)
        graded = await grade_async(row.response, row.reference, row.extra_info, **self._how(row))
        _count([row], [graded])
        return graded

    def grade_rows(
        self,
        completions: Sequence[Any],
        records: Sequence[Mapping[str, Any]],
        truncated: Sequence[bool] | None = None,
    ) -> list[Grade]:
        """Grade many, side by side, in their order; errors as `grade`, naming the completion."""
        cut = [False] * len(completions) if truncated is None else truncated
        rows = []
        for i, one in enumerate(zip(completions, records, cut, strict=True)):
            try:
                rows.append(self._row(*one))
            except (TypeError, ValueError) as error:
                raise type(error)(f"completion {i}: {error}") from None
        graded = grade_batch(
            [row.response for row in rows],
            [row.reference for row in rows],
            [row.extra_info for row in rows],
            [row.data_source for row in rows],
            policy=self.settings.policy,
            pool=_pool(self.settings),
        )
        _count(rows, graded)
        return graded

    def grade_columns(
        self,
        completions: Sequence[Any],
        columns: Mapping[str, Any],
        truncated: Sequence[bool] | None = None,
    ) -> list[Grade]:
        """`grade_rows` of a batch whose rows come as columns."""
        records = split_columns(columns, len(completions), self.reference)
        return self.grade_rows(completions, records, truncated)

    def _row(self, completion: Any, record: Mapping[str, Any], truncated: bool) -> Row:
        return read_row(response_text(completion), record, self.reference, truncated)

    def _how(self, row: Row) -> dict[str, Any]:
        return {
            "data_source": row.data_source,
            "policy": self.settings.policy,
            "pool": _pool(self.settings),
        }


def shares(graded: Sequence[Grade]) -> dict[str, float]:
    """Return each outcome's share of ``graded``, every outcome named; they sum to 1."""
    counts = Counter(one.outcome for one in graded)
    return {outcome.value: counts[outcome] / len(graded) for outcome in Outcome}


def flags(graded: Grade) -> dict[str, float]:
    """Return 1.0 for the grade's outcome and 0.0 for every other one, as metrics of one sample."""
    return {outcome.value: float(graded.outcome is outcome) for outcome in Outcome}


def outcome_counts() -> dict[str, int]:
    """Return how often this process's adapters have seen each outcome."""
    with _lock:
        return {outcome.value: _counts[outcome] for outcome in Outcome}


_counts: Counter[Outcome] = Counter()
_lock = threading.Lock()


def _count(rows: Sequence[Row], graded: Sequence[Grade]) -> None:
    bad = [
        (row, one)
        for row, one in zip(rows, graded, strict=True)
        if one.outcome is Outcome.BAD_REFERENCE
    ]
    with _lock:
        before = _counts[Outcome.BAD_REFERENCE]
        _counts.update(one.outcome for one in graded)
        after, total = _counts[Outcome.BAD_REFERENCE], _counts.total()
    if bad and (before == 0 or len(str(after)) > len(str(before))):
        row, one = bad[-1]
        logger.warning(
            "%d of %d responses so far have a reference that cannot be graded; the last one: %s "
            "(%.*r)",
            after,
            total,
            one.reason,
            SHOWN_CHARS,
            row.reference,
        )


def _pool(settings: Settings) -> Pool | None:
    """The process's own pool (None), or one that settings ask for."""
    default = Settings()
    if (settings.timeout_s, settings.n_workers) == (default.timeout_s, default.n_workers):
        return None
    with _pool_lock:
        return _make_pool(settings.timeout_s, settings.n_workers)


_pool_lock = threading.Lock()


@lru_cache
def _make_pool(timeout_s: float, n_workers: int | None) -> Pool:
    return Settings(timeout_s, n_workers).make_pool()
