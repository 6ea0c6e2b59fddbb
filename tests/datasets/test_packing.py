"""Packs of samples: nothing lost, nothing too long, well filled, the same every time."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ovr_plugin.data.packing import pack


def r1_like(n: int, seed: int = 0) -> np.ndarray:
    """Lengths as of long chains of thought: median 6k, a tail up to 64k."""
    drawn = np.random.default_rng(seed).lognormal(np.log(6000), 0.9, n)
    return np.clip(drawn, 50, 65536).astype(np.int64)


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_is_in_one_pack_and_no_pack_is_too_long(seed):
    rng = np.random.default_rng(seed)
    capacity = int(rng.integers(1, 50))
    lengths = rng.integers(1, capacity + 1, int(rng.integers(1, 200)))
    packs = pack(lengths, capacity)
    members = [packs[number] for number in range(len(packs))]
    assert sorted(np.concatenate(members).tolist()) == list(range(len(lengths)))
    assert all(0 < lengths[pack_].sum() <= capacity for pack_ in members)
    # Best fit never leaves two packs that would fit into one.
    assert all(lengths[a].sum() + lengths[b].sum() > capacity for a, b in combinations(members, 2))


def test_as_many_packs_as_best_fit_decreasing_sample_by_sample():
    """Against the textbook algorithm, one sample at a time."""
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 101, 300)
        rooms: list[int] = []
        for length in sorted(lengths.tolist(), reverse=True):
            fitting = [room for room in rooms if room >= length]
            if fitting:
                rooms.remove(min(fitting))
                rooms.append(min(fitting) - length)
            else:
                rooms.append(100 - length)
        assert len(pack(lengths, 100)) == len(rooms)


@pytest.mark.parametrize("n", [20_000, 200_000])
def test_long_traces_fill_the_packs(n):
    """The measure: at least 99.5 % of positions at 64k."""
    lengths = r1_like(n)
    packs = pack(lengths, 65536)
    assert lengths.sum() / (len(packs) * 65536) >= 0.995


def test_same_lengths_same_packs():
    lengths = r1_like(5000)
    one, two = pack(lengths, 65536), pack(lengths.tolist(), 65536)
    assert np.array_equal(one.members, two.members)
    assert np.array_equal(one.starts, two.starts)


def test_no_samples_no_packs():
    assert len(pack([], 10)) == 0


@pytest.mark.parametrize(("length", "place"), [(0, 2), (-1, 2), (11, 2)])
def test_lengths_that_do_not_fit_are_named(length, place):
    with pytest.raises(ValueError, match=f"1 lengths are not from 1 to 10; .* {length} at {place}"):
        pack([1, 10, length], 10)
