"""Estimates of n samples: against simulation, enumeration and known distributions."""

from __future__ import annotations

from itertools import combinations, permutations
from random import Random

import numpy as np
import pytest

from ovr_plugin.eval.scoring import Parts
from ovr_plugin.eval.statistics import bootstrap, ks, maj_at_k, pass_at_k


def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer():
    for n in range(1, 7):
        for n_right in range(n + 1):
            samples = [1] * n_right + [0] * (n - n_right)
            for k in range(1, n + 1):
                subsets = list(combinations(samples, k))
                share = sum(map(max, subsets)) / len(subsets)
                assert pass_at_k(n, n_right, k) == pytest.approx(share)


def test_pass_at_k_is_unbiased():
    """From 8 samples at p = 0.3, on average 1 - 0.7 ** 4 for k = 4."""
    random = Random(0)
    rights = [sum(random.random() < 0.3 for _ in range(8)) for _ in range(20_000)]
    mean = sum(pass_at_k(8, right, 4) for right in rights) / len(rights)
    assert mean == pytest.approx(1 - 0.7**4, abs=0.005)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (["right", "right", "a"], 1.0),
        (["right", "a", "a"], 0.0),
        (["right", "a"], 0.5),  # by chance
        (["right", None, None], 1.0),  # no answer does not vote
        ([None, None], 0.0),
        (["right", "a", "b"], 1 / 3),
    ],
)
def test_maj_at_n(votes, expected):
    for order in permutations(votes):
        assert maj_at_k(order, "right", len(votes)) == pytest.approx(expected)


def test_maj_at_1_is_the_average_and_drawn_subsets_come_close_to_all():
    votes = ["right"] * 7 + ["a"] * 6 + ["b"] * 3
    assert maj_at_k(votes, "right", 1) == pytest.approx(7 / 16)
    exact = [maj_at_k(subset, "right", 5) for subset in combinations(votes, 5)]
    drawn = maj_at_k(votes, "right", 5)
    assert drawn == pytest.approx(sum(exact) / len(exact), abs=0.08)
    assert drawn == maj_at_k(votes, "right", 5)  # seeded


def test_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="pass@3 cannot be told from 2 samples"):
        pass_at_k(2, 1, 3)
    with pytest.raises(ValueError, match="maj@3 cannot be told from 2 samples"):
        maj_at_k(["right", "a"], "right", 3)


def test_ks():
    assert ks(1) == [1]
    assert ks(4) == [1, 2, 4]
    assert ks(6) == [1, 2, 4, 6]


def run_of(scores: list[float]) -> dict[object, Parts]:
    return {i: {"accuracy": (score, 1.0)} for i, score in enumerate(scores)}


def test_the_interval_of_a_share_is_about_two_standard_errors():
    scores = [1.0] * 60 + [0.0] * 140
    found = bootstrap([run_of(scores)])["accuracy"]
    assert found.value == pytest.approx(30.0)
    error = 100 * (0.3 * 0.7 / 200) ** 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        scores = (random.random(80) < 0.4).astype(float).tolist()
        found = bootstrap([run_of(scores)], seed=trial, n_resamples=400)["accuracy"]
        hits += found.low <= 40 <= found.high
    assert 180 <= hits <= 199


@pytest.mark.parametrize(
    ("n", "high"),
    [(10, 27.75), (100, 3.70)],  # z^2 / (n + z^2), which Wilson's is for none of n
)
def test_all_wrong_and_all_right_leave_doubt(n, high):
    for run in ([run_of([0.0] * n)], [run_of([0.0] * n)] * 4):
        wrong = bootstrap(run)["accuracy"]
        assert (wrong.value, wrong.low) == (0, 0)
        assert wrong.high == pytest.approx(high, abs=0.01)
    right = bootstrap([run_of([1.0] * n)])["accuracy"]
    assert (right.value, right.high) == (100, 100)
    assert right.low == pytest.approx(100 - high, abs=0.01)


def test_no_interval_is_better_than_one_of_no_width():
    """Of one unit, or of units that are alike, every resample is the same."""
    for run in ({"a": {"x": (1.0, 4.0)}}, {unit: {"x": (0.5, 1.0)} for unit in "abc"}):
        found = bootstrap([run], {"twice": {"x": 2.0}})
        assert (found["x"].low, found["x"].high) == (None, None)
        assert (found["twice"].low, found["twice"].high) == (None, None)


def test_a_sum_of_shares_that_are_all_or_nothing_leaves_doubt_too():
    run = {i: {"x": (1.0, 1.0), "y": (0.0, 1.0)} for i in range(10)}
    derived = {"mean": {"x": 0.5, "y": 0.5}, "total": {"x": 1.0, "y": 0.5}}
    found = bootstrap([run], derived)
    assert found["mean"].value == 50
    assert found["mean"].high - 50 == pytest.approx(27.75 / 2, abs=0.01)
    assert 50 - found["mean"].low == pytest.approx(27.75 / 2, abs=0.01)
    assert (found["total"].value, found["total"].high) == (100, 100)
    assert bootstrap([run], derived, points=True)["total"].high > 100


def test_repeating_the_same_answers_does_not_narrow_an_interval():
    scores = [1.0, 0.0] * 50
    once, often = bootstrap([run_of(scores)]), bootstrap([run_of(scores)] * 16)
    assert often["accuracy"] == once["accuracy"]


def test_runs_are_averaged_and_ratios_taken_within_each():
    """F1-like metrics: the mean of each run's ratio, not the ratio of sums."""
    runs = [{"a": {"F1": (1.0, 1.0)}}, {"a": {"F1": (0.0, 9.0)}}]
    assert bootstrap(runs)["F1"].value == 50


def test_derived_metrics_and_undefined_ones():
    run = {
        "a": {"x": (1.0, 1.0), "never": (0.0, 0.0)},
        "b": {"y": (0.0, 1.0)},
    }
    derived = {"both": {"x": 0.5, "y": 0.5}, "missing": {"x": 1.0, "z": 1.0}}
    found = bootstrap([run], derived)
    assert found["both"].value == 50
    assert "never" not in found
    assert "missing" not in found
    assert bootstrap([]) == {}
