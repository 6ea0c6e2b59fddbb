"""Counts in, numbers with intervals out: emergence, mean count, transfer, agreement of detectors.

A count is a float with NaN for a missing value, which takes part in nothing. Responses to one
question are not independent, so the bootstrap draws questions. A quotient with a denominator of
zero is None, undefined, and never infinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovr_plugin.eval.statistics import wilson

LEVEL = 0.95
# Where more of the resamples than this leave a quotient undefined, so is its interval.
MAX_UNDEFINED = 0.05
CHUNK = 64  # resamples at a time, which bounds memory
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_record(self) -> dict[str, float | None]:
        """Return it as JSON holds it."""
        return {"value": self.value, "low": self.low, "high": self.high}


class Resampled:
    """Means of columns over the responses, and over resamples of their questions.

    All columns see the same resamples, so that quotients of them are paired.

    Args:
        questions: one identity per response.
        columns: name -> one value per response, NaN where missing.
        n_resamples: how many.
        seed: of the draw.
    """

    def __init__(
        self,
        questions: Sequence[str],
        columns: Mapping[str, Array],
        n_resamples: int = 2000,
        seed: int = 0,
    ):
        codes: dict[str, int] = {}
        question = np.array([codes.setdefault(each, len(codes)) for each in questions], dtype=int)
        values = np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], 1)
        known = ~np.isnan(values)
        sums, counts = np.zeros((len(codes), len(columns))), np.zeros((len(codes), len(columns)))
        np.add.at(sums, question, np.where(known, values, 0.0))
        np.add.at(counts, question, known)
        self._names = {name: number for number, name in enumerate(columns)}
        self._means = _resampled_means(sums, counts, n_resamples, seed)
        self._n_questions = (counts > 0).sum(axis=0)

    def means(self, name: str) -> Array:
        """Shape (1 + n_resamples,): the mean itself, then that of each resample; NaN: undefined."""
        return self._means[:, self._names[name]]

    def mean(self, name: str) -> Estimate:
        """The mean of a column with its percentile interval."""
        return estimate(self.means(name))

    def rate(self, name: str) -> Estimate:
        """The mean of a column of ones and zeros; Wilson's interval where all are the same.

        There the bootstrap would give an interval of no width, which says nothing.
        """
        found = self.mean(name)
        if found.value in (0.0, 1.0):
            n = int(self._n_questions[self._names[name]])
            return Estimate(found.value, *wilson(found.value, n))
        return found


def _resampled_means(sums: Array, counts: Array, n_resamples: int, seed: int) -> Array:
    n_questions = len(sums)
    rows = [divide(sums.sum(0, keepdims=True), counts.sum(0, keepdims=True))]
    rng = np.random.default_rng(seed)
    share = np.full(n_questions, 1 / max(n_questions, 1))
    for start in range(0, n_resamples if n_questions else 0, CHUNK):
        size = min(CHUNK, n_resamples - start)
        drawn = rng.multinomial(n_questions, share, size).astype(np.float64)
        rows.append(divide(drawn @ sums, drawn @ counts))
    return np.concatenate(rows)


def estimate(means: Array) -> Estimate:
    """The first of ``means`` with the percentile interval of the others."""
    if np.isnan(means[0]):
        return Estimate(None)
    drawn = means[1:]
    defined = drawn[~np.isnan(drawn)]
    if not defined.size or defined.size < (1 - MAX_UNDEFINED) * drawn.size:
        return Estimate(float(means[0]))
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(means[0]), float(low), float(high))


def divide(over: Array, under: Array) -> Array:
    """Divide element by element; NaN where the denominator is zero or unknown."""
    under = np.asarray(under, dtype=np.float64)
    return np.divide(over, under, out=np.full(under.shape, np.nan), where=under > 0)


def presence(counts: Array) -> Array:
    """1 where a behaviour was counted at least once, 0 where not, NaN where unknown."""
    return np.where(np.isnan(counts), np.nan, (counts > 0).astype(np.float64))


def any_present(columns: Sequence[Array]) -> Array:
    """1 where any is present; 0 only where all are known to be absent; else NaN."""
    stacked = np.stack([presence(column) for column in columns])
    found = np.nan_to_num(stacked, nan=0.0).max(axis=0)
    return np.where((found == 0) & np.isnan(stacked).any(axis=0), np.nan, found)


@dataclass(frozen=True)
class Agreement:
    """How far two detectors say the same, over responses that both have a value for."""

    n: int
    presence: float | None  # share of responses where both or neither see the behaviour
    kappa: float | None  # Cohen's, of presence; None where chance alone would agree fully

    def to_record(self) -> dict[str, float | int | None]:
        """Return it as JSON holds it."""
        return {"n": self.n, "presence": self.presence, "kappa": self.kappa}


def agreement(first: Array, second: Array) -> Agreement:
    """Compare two detectors' presence (Cohen 1960); undefined where both always say one thing."""
    known = ~(np.isnan(first) | np.isnan(second))
    a, b = presence(first)[known], presence(second)[known]
    if not a.size:
        return Agreement(0, None, None)
    observed = float((a == b).mean())
    by_chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    kappa = None if by_chance > 1 - 1e-12 else (observed - by_chance) / (1 - by_chance)
    return Agreement(int(a.size), observed, kappa)
