"""Graded samples of a benchmark -> its result: scores with intervals, rates, tokens, time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import asdict
from statistics import fmean, median, quantiles
from typing import Any

from ovr_plugin.eval.benchmark import TABLES, Benchmark
from ovr_plugin.eval.grading import RIGHT, Graded, outcomes, votes
from ovr_plugin.eval.scoring import Item, Parts, Scored, Scoring
from ovr_plugin.eval.statistics import CONFIDENCE, Estimate, bootstrap, ks, maj_at_k, pass_at_k

N_TOLD = 3


def result(
    benchmark: Benchmark,
    graded: Sequence[Graded],
    items: Sequence[Item],
    n: int,
    seed: int = 0,
    unusable: Sequence[Item] = (),
) -> dict[str, Any]:
    """Return the result of one benchmark as it is written to ``result.json``.

    Args:
        benchmark: whose protocol scores.
        graded: the samples that there are.
        items: that were asked.
        n: samples asked of each.
        seed: of the bootstrap and of maj@k.
        unusable: items that cannot be asked, as their picture is not there; their groups are
            incomplete.
    """
    expected = [*items, *unusable]
    by_item: dict[str, list[Graded]] = defaultdict(list)
    for each in sorted(graded, key=lambda g: (g.item.id, g.sample)):
        by_item[each.item.id].append(each)
    scoring = benchmark.scoring
    runs = _runs(scoring, graded, expected, n)
    metrics = bootstrap(runs, scoring.derived, seed, points=scoring.points)
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
        "undefined": _undefined(scoring, metrics) if metrics else [],
        "metrics": {name: asdict(found) for name, found in metrics.items()},
        "per item": {name: asdict(found) for name, found in _per_item(by_item, n, seed).items()},
        "n_items": len(items),
        "n_samples": n,
        "n_missing": len(items) * n - len(graded),
        "n_incomplete_groups": _n_incomplete(scoring, graded, expected, n),
        "rates": _rates(graded),
        "tokens": _spread([each.n_tokens for each in graded if each.n_tokens is not None]),
        "seconds": _spread([each.seconds for each in graded]),
        "paper": {"where": TABLES, "scores": [asdict(paper) for paper in benchmark.paper]},
    }


def _undefined(scoring: Scoring, metrics: Collection[str]) -> list[str]:
    """Say which sums of metrics have no value, and for lack of what."""
    found = []
    for metric, weights in scoring.derived.items():
        lacking = [name for name in weights if name not in metrics]
        if metric not in metrics and lacking:
            more = f" and {len(lacking) - N_TOLD} more" if len(lacking) > N_TOLD else ""
            found.append(f"{metric} is not defined without {', '.join(lacking[:N_TOLD])}{more}")
    return found


def _runs(
    scoring: Scoring, graded: Sequence[Graded], items: Sequence[Item], n: int
) -> list[dict[Hashable, Parts]]:
    """Each sample index as a run of its own: unit -> parts."""
    runs: list[dict[Hashable, list[Scored]]] = [defaultdict(list) for _ in range(n)]
    for each in graded:
        scored = Scored(each.item, each.score, each.grade.extracted)
        runs[each.sample][scoring.unit(each.item)].append(scored)
    if scoring.groups:
        for item, sample in _missing(graded, items, n):
            runs[sample][scoring.unit(item)].append(Scored(item, 0.0, missing=True))
    return [{name: scoring.parts(answers) for name, answers in run.items()} for run in runs]


def _missing(graded: Sequence[Graded], items: Sequence[Item], n: int) -> Iterator[tuple[Item, int]]:
    """The samples that were asked and never answered."""
    there = {(each.item.id, each.sample) for each in graded}
    for item in items:
        yield from ((item, sample) for sample in range(n) if (item.id, sample) not in there)


def _n_incomplete(scoring: Scoring, graded: Sequence[Graded], items: Sequence[Item], n: int) -> int:
    """The groups, of every run, that have no score as one because an answer is missing."""
    incomplete = {
        (sample, place, group(item))
        for item, sample in _missing(graded, items, n)
        for place, group in enumerate(scoring.groups)
    }
    return len(incomplete)


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
