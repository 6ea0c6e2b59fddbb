"""The order of rows: shares exact over every window, resumable anywhere, nothing used up unsaid."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovr_plugin.data.mix import Group, Mix, MixSampler, Pool

SOURCES = ["orz"] * 60 + ["math"] * 30 + ["clevr"] * 20 + ["tqa"] * 40
IS_IMAGE = [False] * 90 + [True] * 20 + [False, True] * 20
OF = list(zip(SOURCES, IS_IMAGE, strict=True))


def sampler(batch_size=16, seed=0, **mix):
    return MixSampler(SOURCES, IS_IMAGE, batch_size, Mix.of(mix), seed)


def batches(order, n, size=16):
    rows = []
    while len(rows) < n * size:
        rows += islice(iter(order), n * size - len(rows))
    return [rows[k * size : (k + 1) * size] for k in range(n)]


@pytest.mark.parametrize("fraction", [0.25, 0.3, 0.5, 1 / 3])
def test_every_batch_has_its_pictures(fraction):
    counts = [
        sum(IS_IMAGE[row] for row in b) for b in batches(sampler(image_fraction=fraction), 60)
    ]
    assert {abs(count - 16 * fraction) < 1 for count in counts} == {True}
    for n in range(1, 61):
        assert abs(sum(counts[:n]) - n * 16 * fraction) <= 0.5 + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_shares_are_within_one_row_at_every_moment(weights):
    shares = np.array(weights) / sum(weights)
    pool = Pool([Group(str(k), False, np.arange(3), share) for k, share in enumerate(shares)])
    for n in range(1, 400):
        pool.next_group()
        assert np.abs(pool.taken - shares * n).max() < 1


def test_weights_by_source_and_by_rows():
    weights = {"orz": 1, "math": 3, "clevr": 1, "tqa": 0}
    order = sampler(image_fraction=0.5, weights=weights, by_rows=False)
    rows = [row for batch in batches(order, 30) for row in batch]
    counts = Counter(SOURCES[row] for row in rows)
    assert counts == {"orz": 60, "math": 180, "clevr": 240}
    order = sampler()  # as many of each as there are
    counts = Counter(OF[row] for batch in batches(order, 75) for row in batch)
    assert counts == {key: 8 * n for key, n in Counter(OF).items()}


def test_each_pass_takes_every_row_once_and_the_next_another_order(caplog):
    order = sampler(batch_size=10, image_fraction=1.0, weights={"tqa": 0})
    with caplog.at_level("WARNING"):
        rows = [row for batch in batches(order, 6, 10) for row in batch]
    passes = [rows[k : k + 20] for k in (0, 20, 40)]
    assert all(sorted(each) == list(range(90, 110)) for each in passes)
    assert len({tuple(each) for each in passes}) == 3
    messages = [record.message for record in caplog.records]
    assert messages == [
        "mix: clevr (image) is exhausted: pass 2 begins",
        "mix: clevr (image) is exhausted: pass 3 begins",
    ]


def test_the_passes_of_an_epoch_are_said_at_the_start(caplog):
    with caplog.at_level("INFO"):
        sampler(image_fraction=0.5, weights={"tqa": 0})
    assert "mix: clevr (image): 20 rows, 50.00% of all, 3.60 passes an epoch" in caplog.text
    assert "mix: orz (text): 60 rows, 33.33% of all, 0.80 passes an epoch" in caplog.text


def test_the_seed_alone_decides():
    first, again, other = (batches(sampler(seed=s, image_fraction=0.5), 20) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_epoch_is_whole_batches_and_the_next_goes_on():
    order = sampler(image_fraction=0.5)
    assert len(order) == 144
    epochs = [list(order), list(order)]
    assert [len(epoch) for epoch in epochs] == [144, 144]
    assert epochs[0] != epochs[1]
    assert epochs[0] + epochs[1] == [r for b in batches(sampler(image_fraction=0.5), 18) for r in b]


def loader(order, n_workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    return StatefulDataLoader(
        list(range(len(SOURCES))),
        batch_size=16,
        num_workers=n_workers,
        drop_last=True,
        collate_fn=list,
        sampler=order,
    )


def epochs(loaded, n):
    """Batches over the ends of epochs, as veRL's trainer takes them."""
    found, iterator = [], iter(loaded)
    while len(found) < n:
        try:
            found.append(next(iterator))
        except StopIteration:
            iterator = iter(loaded)
    return found


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.parametrize("n_before", [0, 1, 5, 9, 13])
def test_a_run_resumes_anywhere(n_workers, n_before):
    whole = batches(sampler(image_fraction=0.3, seed=3), 25)
    first = loader(sampler(image_fraction=0.3, seed=3), n_workers)
    assert epochs(first, n_before) == whole[:n_before]
    state = first.state_dict() if n_before else None
    resumed = loader(sampler(image_fraction=0.3, seed=3), n_workers)
    if state:
        resumed.load_state_dict(state)
    assert epochs(resumed, 12) == whole[n_before : n_before + 12]


def test_resuming_with_another_mix_is_refused():
    state = sampler(image_fraction=0.3).state_dict()
    for other in (sampler(image_fraction=0.5), sampler(image_fraction=0.3, seed=1)):
        with pytest.raises(ValueError, match=r"data\.mix, data\.seed, .* differ from the"):
            other.load_state_dict(state)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"image_fraction": 1.5}, "image_fraction is 1.5; it must lie between 0 and 1"),
        ({"weights": {"orz": -1}}, "the weight of orz is -1; it must be 0 or more"),
        ({"weights": {"orz": "much"}}, "the weight of orz is 'much', no number"),
        ({"ratio": 1}, "unknown: 'ratio'"),
        ({"image_fraction": "half"}, "image_fraction is 'half'; it must lie between 0 and 1"),
        ({"image_fraction": float("nan")}, "image_fraction is nan; it must lie between 0 and 1"),
        ({"image_fraction": True}, "image_fraction is True; it must lie between 0 and 1"),
        ({"by_rows": "false"}, "by_rows is 'false'; it must be true or false"),
        ({"weights": ["orz"]}, r"weights is \['orz'\]; it must be a mapping"),
        ({"weights": {"orz": float("nan")}}, "the weight of orz is nan; it must be 0 or more"),
        ({"weights": {"orz": 1e308}}, "the weight of orz is 1e.308; it must be 0 or more, at most"),
        ({"weights": dict.fromkeys(("clevr", "math", "orz", "tqa"), 0)}, "no source .* a weight"),
        ({"weights": {"none": 1}}, "weights names none; the data has clevr, math, orz, tqa"),
        ({"weights": {2023: 1}}, "weights names 2023; the data has clevr, math, orz, tqa"),
        ({"image_fraction": 0.5, "weights": {"clevr": 0, "tqa": 0}}, "wants image rows, and no"),
        ({"weights": dict.fromkeys(SOURCES, 0)}, "no source has a weight"),
    ],
)
def test_a_mix_that_cannot_be_is_named(mix, message):
    with pytest.raises(ValueError, match=message):
        sampler(**mix)


def test_fewer_rows_than_a_batch():
    with pytest.raises(ValueError, match="150 rows are fewer than one batch of 512"):
        sampler(batch_size=512)
