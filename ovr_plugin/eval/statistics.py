"""Scores of n samples an item: averages, pass@k, maj@k, and how sure they are.

Intervals are percentile bootstraps over units (`ovr_plugin.eval.scoring`): they say how far a score
would move with other questions of the same kind. Samples of one item stay together, so that more
samples narrow an interval only as far as they should. Where all are right, or all wrong, no
resample differs, which says nothing: there the interval is Wilson's, of a trial for each unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, sqrt
from random import Random

import numpy as np

from ovr_plugin.eval.scoring import Parts

CONFIDENCE = 0.95
Z = 1.959963984540054  # the normal quantile of CONFIDENCE, two-sided
N_RESAMPLES = 2000
WIDTH = 1e-9  # an interval that is narrower has none, but for rounding
RESAMPLES_AT_ONCE = 100  # bounds the memory: units x this many counts
MAX_SUBSETS = 256  # of an item's samples, for maj@k


@dataclass(frozen=True)
class Estimate:
    """A value with its interval (`CONFIDENCE`); None where no resample has one, or all the same."""

    value: float
    low: float | None = None
    high: float | None = None


def ks(n: int) -> list[int]:
    """1, 2, 4, ... up to ``n``, and ``n``."""
    return sorted({1 << power for power in range(n.bit_length()) if 1 << power <= n} | {n})


def pass_at_k(n: int, n_right: int, k: int) -> float:
    """The chance that of ``k`` samples one is right: the unbiased estimate from ``n`` of them.

    One minus C(n - right, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, eq. 1).

    Raises:
        ValueError: fewer samples than ``k``.
    """
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} cannot be told from {n} samples")
    return 1.0 - comb(n - n_right, k) / comb(n, k)


def maj_at_k(votes: Sequence[Hashable | None], right: Hashable, k: int, seed: int = 0) -> float:
    """The chance that the most frequent answer among ``k`` samples is the right one.

    Over all subsets of ``k`` samples, or `MAX_SUBSETS` drawn ones where there are more. Of answers
    that are equally frequent one is chosen by chance; None, no answer, does not vote.

    Raises:
        ValueError: fewer samples than ``k``.
    """
    if not 0 < k <= len(votes):
        raise ValueError(f"maj@{k} cannot be told from {len(votes)} samples")
    if comb(len(votes), k) <= MAX_SUBSETS:
        subsets = [list(subset) for subset in combinations(votes, k)]
    else:
        random = Random(seed)  # noqa: S311 - a reproducible draw, no secret
        subsets = [random.sample(list(votes), k) for _ in range(MAX_SUBSETS)]
    return sum(_chance(subset, right) for subset in subsets) / len(subsets)


def _chance(votes: Sequence[Hashable | None], right: Hashable) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    most = max(counts.values(), default=0)
    winners = [vote for vote, count in counts.items() if count == most]
    return winners.count(right) / len(winners) if winners else 0.0


def bootstrap(
    runs: Sequence[Mapping[Hashable, Parts]],
    derived: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    *,
    points: bool = False,
) -> dict[str, Estimate]:
    """Every metric, averaged over runs, with its interval.

    Args:
        runs: one for each sample of an item: unit -> its parts.
        derived: metric -> weights of the metrics it is the sum of.
        seed: of the resampling.
        n_resamples: how often the units are drawn anew.
        points: derived metrics are points, and may pass 100.
    """
    units = list(dict.fromkeys(unit for run in runs for unit in run))
    metrics = list(dict.fromkeys(name for run in runs for parts in run.values() for name in parts))
    sums = {metric: _Sums.of(metric, runs, units) for metric in metrics}
    drawn = _resampled(sums, len(units), seed, n_resamples) if units else {}
    found = {
        metric: _estimate(each.value(), drawn[metric], len(each.places))
        for metric, each in sums.items()
    }
    for metric, weights in (derived or {}).items():
        if set(weights) <= set(found):
            parts = [weight * drawn[name] for name, weight in weights.items()]
            whole = _sum(found, weights, None if points else 100.0)
            interval = _interval(np.sum(parts, axis=0))
            found[metric] = Estimate(whole.value, *interval) if _has_width(interval) else whole
    return {metric: each for metric, each in found.items() if np.isfinite(each.value)}


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share of ``n`` independent trials."""
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return centre - half if share > 0 else 0.0, centre + half if share < 1 else 1.0


def _estimate(value: float, drawn: np.ndarray, n_units: int) -> Estimate:
    interval = _interval(drawn)
    if _has_width(interval):
        return Estimate(value, *interval)
    if value not in (0.0, 100.0):  # of one unit, or of units that are alike: nothing is known
        return Estimate(value)
    low, high = wilson(value / 100.0, n_units)
    return Estimate(value, 100.0 * low, 100.0 * high)


def _sum(
    found: Mapping[str, Estimate], weights: Mapping[str, float], highest: float | None
) -> Estimate:
    """The weighted sum with the widest interval that its parts' allow."""
    value = sum(weight * found[name].value for name, weight in weights.items())
    low = high = 0.0
    for name, weight in weights.items():
        part = found[name]
        if part.low is None or part.high is None:
            return Estimate(value)
        low += weight * part.low
        high += weight * part.high
    return Estimate(value, low, high if highest is None else min(high, highest))


def _has_width(interval: tuple[float | None, float | None]) -> bool:
    low, high = interval
    return low is not None and high is not None and high - low > WIDTH


@dataclass(frozen=True)
class _Sums:
    """A metric's numerators and denominators, (units that have it, runs), and which units."""

    numerators: np.ndarray
    denominators: np.ndarray
    places: np.ndarray

    @classmethod
    def of(
        cls, metric: str, runs: Sequence[Mapping[Hashable, Parts]], units: Sequence[Hashable]
    ) -> _Sums:
        cells = [[run.get(unit, {}).get(metric, (0.0, 0.0)) for run in runs] for unit in units]
        both = np.array(cells, dtype=float)
        places = np.flatnonzero(both[:, :, 1].any(axis=1))
        return cls(both[places, :, 0], both[places, :, 1], places)

    def value(self) -> float:
        return float(self.values(np.ones((1, len(self.places))))[0])

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The metric in percent under each row of unit weights, the mean over runs that have it."""
        denominators = weights @ self.denominators
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = (weights @ self.numerators) / denominators
        known = denominators > 0
        n_known = known.sum(axis=1)
        total = np.where(known, ratios, 0.0).sum(axis=1)
        return np.where(n_known > 0, 100.0 * total / np.maximum(n_known, 1), np.nan)


def _resampled(
    sums: Mapping[str, _Sums], n_units: int, seed: int, n_resamples: int
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {metric: [] for metric in sums}
    for first in range(0, n_resamples, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, n_resamples - first)
        weights = random.multinomial(n_units, np.full(n_units, 1 / n_units), size=size)
        for metric, each in sums.items():
            found[metric].append(each.values(weights[:, each.places].astype(float)))
    return {metric: np.concatenate(values) for metric, values in found.items()}


def _interval(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    known = values[np.isfinite(values)]
    if not len(known):
        return None, None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)
