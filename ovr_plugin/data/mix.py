"""Which row comes next: weights per source, a fixed share of pictures in every batch.

Rows with their source and modality in, an endless order out. It is a function of the seed alone and
of how many rows were taken, so that a run resumes in the middle of an epoch.

- Of every batch the same number of rows has pictures; where the share is no whole number, some
  batches have one more, and never does the sum since the beginning miss the share by a whole row.
- Within a modality each source has, since the beginning, its weight's share within one row (the
  quota method: Tijdeman 1980, "The chairman assignment problem").
- A source is gone through in a shuffled order, then again in another; every new pass is logged.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Sampler

logger = logging.getLogger(__name__)
MAX_WEIGHT = 10**9  # times the rows, it must stay a number


@dataclass(frozen=True)
class Mix:
    """``data.mix`` of a recipe.

    Attributes:
        image_fraction: of every batch; None leaves it to the weights.
        weights: data_source -> weight; 0 leaves a source out, one not named has 1.
        by_rows: multiply each weight by the number of the source's rows.
    """

    image_fraction: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    by_rows: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Mix:
        """Read ``data.mix``; ValueError names everything that is wrong with it."""
        if not isinstance(config, Mapping):
            raise ValueError(f"data.mix: must be a mapping of settings, not {config!r}")
        wrong = [f"unknown: {key!r}" for key in config if key not in cls.__dataclass_fields__]
        fraction, by_rows = config.get("image_fraction"), config.get("by_rows", True)
        if fraction is not None and not (_is_number(fraction) and 0 <= fraction <= 1):
            wrong.append(f"image_fraction is {fraction!r}; it must lie between 0 and 1")
        if not isinstance(by_rows, bool):
            wrong.append(f"by_rows is {by_rows!r}; it must be true or false")
        given = config.get("weights") or {}
        # A source whose name is digits is a number in YAML.
        weights = {str(name): w for name, w in given.items()} if isinstance(given, Mapping) else {}
        if not isinstance(given, Mapping):
            wrong.append(f"weights is {given!r}; it must be a mapping from sources to numbers")
        for name, weight in weights.items():
            if not _is_number(weight):
                wrong.append(f"the weight of {name} is {weight!r}, no number")
            elif not 0 <= weight <= MAX_WEIGHT:
                allowed = f"0 or more, at most {MAX_WEIGHT:,}"
                wrong.append(f"the weight of {name} is {weight}; it must be {allowed}")
        if wrong:
            raise ValueError(f"data.mix: {'; '.join(wrong)}")
        return cls(fraction, weights, by_rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Group:
    """Rows of one source and modality; ``share`` of the rows of its pool."""

    source: str
    is_image: bool
    rows: np.ndarray
    share: float

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.source} ({'image' if self.is_image else 'text'})"


class Pool:
    """Groups that share a quota: which of them gives the next row."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self._shares = np.array([group.share for group in groups])
        self.taken = np.zeros(len(groups), dtype=np.int64)

    def next_group(self) -> int:
        """Count a row for a group, and return which: the most urgent of those not ahead."""
        n_after = int(self.taken.sum()) + 1
        due = self.taken < self._shares * n_after - 1e-9
        deadlines = np.where(due, (self.taken + 1) / self._shares, np.inf)
        chosen = int(np.argmin(deadlines))
        self.taken[chosen] += 1
        return chosen


class MixSampler(Sampler[int]):
    """The order of rows; an epoch is as many whole batches as the data has rows for.

    Its iterators are stateful in the sense of torchdata, so that veRL's dataloader saves and
    restores them.

    Args:
        sources: data_source of each row.
        is_image: whether each row has pictures.
        batch_size: of training (``data.train_batch_size``).
        mix: weights and share.
        seed: of the order.

    Raises:
        ValueError: a weight for a source that is not there, no row for a modality that is wanted,
            or fewer rows than a batch.
    """

    def __init__(
        self,
        sources: Sequence[str],
        is_image: Sequence[bool],
        batch_size: int,
        mix: Mix,
        seed: int = 0,
    ) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.n_batches = len(sources) // batch_size
        if not self.n_batches:
            raise ValueError(f"{len(sources)} rows are fewer than one batch of {batch_size}")
        self.fraction = mix.image_fraction
        groups = _groups(np.asarray(sources, dtype=object), np.asarray(is_image, dtype=bool), mix)
        self.pools = _pools(groups, mix.image_fraction)
        self._orders: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self.n_taken = 0
        for line in self.describe():
            logger.info(line)

    def __len__(self) -> int:
        return self.n_batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        return _MixIterator(self)

    def describe(self) -> list[str]:
        """A line for each group: its share of all rows and how often an epoch goes through it."""
        lines = []
        for pool, fraction in zip(self.pools, self._fractions(), strict=True):
            for group in pool.groups:
                share = group.share * fraction
                passes = share * len(self) / len(group.rows)
                lines.append(
                    f"mix: {group.name}: {len(group.rows):,} rows, {share:.2%} of all, "
                    f"{passes:.2f} passes an epoch"
                )
        return lines

    def _fractions(self) -> list[float]:
        if self.fraction is None:
            return [1.0]
        return [fraction for fraction in (1 - self.fraction, self.fraction) if fraction]

    def batch(self, number: int) -> list[int]:
        """The rows of batch ``number``; batches must be asked for one after the other."""
        rows = []
        for place, pool in enumerate(self.pools):
            for _ in range(self._n_of_pool(place, number)):
                group = pool.next_group()
                rows.append(self._row(place, group, int(pool.taken[group]) - 1))
        np.random.default_rng((self.seed, 1, number)).shuffle(rows)
        return rows

    def _n_of_pool(self, place: int, number: int) -> int:
        """How many rows of a batch are of a pool: of two, the second has the pictures."""
        if len(self.pools) == 1:
            return self.batch_size
        share = self.batch_size * float(self.fraction or 0)
        n_images = math.floor(share * (number + 1) + 0.5) - math.floor(share * number + 0.5)
        return n_images if place else self.batch_size - n_images

    def _row(self, place: int, group: int, turn: int) -> int:
        rows = self.pools[place].groups[group].rows
        number, position = divmod(turn, len(rows))
        current = self._orders.get((place, group))
        if current is None or current[0] != number:
            if current is not None:
                name = self.pools[place].groups[group].name
                logger.warning("mix: %s is exhausted: pass %d begins", name, number + 1)
            order = np.random.default_rng((self.seed, 2, place, group, number)).permutation(rows)
            current = self._orders[place, group] = (number, order)
        return int(current[1][position])

    def state_dict(self) -> dict[str, Any]:
        """How far the order has come at the beginning of the current batch, and what it is of."""
        taken = [pool.taken.tolist() for pool in self.pools]
        return {"n_taken": self.n_taken, "taken": taken, "of": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken; ValueError for another mix, seed, batch or data."""
        if state["of"] != self._identity():
            raise ValueError(
                "data.mix, data.seed, data.train_batch_size or the data differ from the "
                "checkpoint's: resume with the same ones, or remove data.pt from the checkpoint"
            )
        self.n_taken = int(state["n_taken"])
        for pool, taken in zip(self.pools, state["taken"], strict=True):
            pool.taken = np.array(taken, dtype=np.int64)

    def _identity(self) -> list[Any]:
        groups = [
            [group.name, len(group.rows), round(group.share, 12)]
            for pool in self.pools
            for group in pool.groups
        ]
        return [self.seed, self.batch_size, self.fraction, groups]


class _MixIterator(Iterator[int]):
    """One epoch; the sampler keeps the state, so that the next epoch goes on from there."""

    def __init__(self, sampler: MixSampler) -> None:
        self._sampler = sampler
        self._end = sampler.n_taken + len(sampler)
        self._start: dict[str, Any] = sampler.state_dict()
        self._batch: list[int] = []

    def __next__(self) -> int:
        sampler = self._sampler
        if sampler.n_taken >= self._end:
            raise StopIteration
        place = sampler.n_taken % sampler.batch_size
        if not place or not self._batch:
            self._start = sampler.state_dict()
            self._batch = sampler.batch(sampler.n_taken // sampler.batch_size)
        sampler.n_taken += 1
        return self._batch[place]

    def state_dict(self) -> dict[str, Any]:
        """The state at the beginning of the current batch, the place within it, and the end."""
        begun = self._sampler.n_taken % self._sampler.batch_size and self._batch
        start = self._start if begun else self._sampler.state_dict()
        return {**start, "n_taken": self._sampler.n_taken, "end": self._end}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at the row after the last one that was given."""
        self._sampler.load_state_dict(state)
        self._end, self._batch = int(state["end"]), []


def _groups(sources: np.ndarray, is_image: np.ndarray, mix: Mix) -> list[Group]:
    names = sorted(set(sources))
    unknown = sorted(set(mix.weights) - set(names))
    if unknown:
        raise ValueError(
            f"data.mix.weights names {', '.join(unknown)}; the data has {', '.join(names)}"
        )
    groups = []
    for name in names:
        weight = float(mix.weights.get(name, 1.0))
        of_source = sources == name
        n_source = int(of_source.sum())
        for images in (False, True):
            rows = np.flatnonzero(of_source & (is_image == images))
            # A source of both modalities gives of each what it has of it.
            share = weight * (len(rows) if mix.by_rows else len(rows) / n_source)
            if share:
                groups.append(Group(name, images, rows, share))
    return groups


def _pools(groups: Sequence[Group], fraction: float | None) -> list[Pool]:
    if fraction is None:
        parts = [list(groups)]
    else:
        parts = [[g for g in groups if g.is_image == images] for images in (False, True)]
        wanted = [fraction < 1, fraction > 0]
        for part, need, name in zip(parts, wanted, ("text", "image"), strict=True):
            if need and not part:
                raise ValueError(f"data.mix wants {name} rows, and no source with a weight has any")
        parts = [part for part, need in zip(parts, wanted, strict=True) if need]
    if not all(parts):
        raise ValueError("data.mix: no source has a weight")
    pools = []
    for part in parts:
        total = sum(group.share for group in part)
        pools.append(Pool([Group(g.source, g.is_image, g.rows, g.share / total) for g in part]))
    return pools
