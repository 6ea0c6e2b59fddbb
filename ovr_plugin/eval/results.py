"""Graded samples of a benchmark -> its result: scores with intervals, rates, tokens, time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from statistics import fmean, median, quantiles
from typing import Any

from ovr_plugin.eval.benchmark import TABLES, Benchmark
from ovr_plugin.eval.grading import RIGHT, Graded, outcomes, votes
from ovr_plugin.eval.scoring import Parts, Scored
from ovr_plugin.eval.statistics import CONFIDENCE, Estimate, bootstrap, ks, maj_at_k, pass_at_k


def result(
    benchmark: Benchmark, graded: Sequence[Graded], n_items: int, n: int, seed: int = 0
) -> dict[str, Any]:
    """Return the result of one benchmark as it is written to ``result.json``.

    Args:
        benchmark: whose protocol scores.
        graded: the samples that there are.
        n_items: items asked.
        n: samples asked of each.
        seed: of the bootstrap and of maj@k.
    """
    by_item: dict[str, list[Graded]] = defaultdict(list)
    for each in sorted(graded, key=lambda g: (g.item.id, g.sample)):
        by_item[each.item.id].append(each)
    metrics = bootstrap(_runs(benchmark, graded, n), benchmark.scoring.derived, seed)
    headline = metrics.get(benchmark.scoring.headline)
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "version": benchmark.version,
        "license": benchmark.license,
        "note": benchmark.note,
        "headline": benchmark.scoring.headline,
        f"avg@{n}": headline and asdict(headline),
        "unit": "points" if benchmark.scoring.points else "percent",
        "confidence": CONFIDENCE,
        "metrics": {name: asdict(found) for name, found in metrics.items()},
        "per item": {name: asdict(found) for name, found in _per_item(by_item, n, seed).items()},
        "n_items": n_items,
        "n_samples": n,
        "n_missing": n_items * n - len(graded),
        "rates": _rates(graded),
        "tokens": _spread([each.n_tokens for each in graded if each.n_tokens is not None]),
        "seconds": _spread([each.seconds for each in graded]),
        "paper": {"where": TABLES, "scores": [asdict(paper) for paper in benchmark.paper]},
    }


def _runs(benchmark: Benchmark, graded: Sequence[Graded], n: int) -> list[dict[Hashable, Parts]]:
    """Each sample index as a run of its own: unit -> parts."""
    unit = benchmark.scoring.unit
    runs: list[dict[Hashable, list[Scored]]] = [defaultdict(list) for _ in range(n)]
    for each in graded:
        scored = Scored(each.item, each.score, each.grade.extracted)
        runs[each.sample][unit(each.item)].append(scored)
    return [
        {name: benchmark.scoring.parts(answers) for name, answers in run.items()} for run in runs
    ]


def _per_item(by_item: dict[str, list[Graded]], n: int, seed: int) -> dict[str, Estimate]:
    """pass@k and maj@k over items with at least k samples, whatever the protocol's units."""
    parts: dict[Hashable, Parts] = {}
    for item, samples in by_item.items():
        n_right = sum(each.score == 1.0 for each in samples)
        voted = votes(samples) if len(samples) > 1 and 0 < n_right < len(samples) else None
        found: Parts = {}
        for k in ks(n):
            if k > len(samples):
                continue
            found[f"pass@{k}"] = (pass_at_k(len(samples), n_right, k), 1.0)
            majority = maj_at_k(voted, RIGHT, k, seed) if voted else float(n_right > 0)
            found[f"maj@{k}"] = (majority, 1.0)
        parts[item] = found
    return bootstrap([parts], seed=seed)


def _rates(graded: Sequence[Graded]) -> dict[str, float]:
    """The share of every outcome among the samples, in percent."""
    counts = outcomes(graded)
    return {name: 100.0 * count / len(graded) for name, count in sorted(counts.items())}


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    found = {"sum": sum(values), "mean": fmean(values), "median": median(values)}
    if len(values) > 1:
        found["p95"] = quantiles(values, n=20)[-1]
    return found | {"max": max(values)}
