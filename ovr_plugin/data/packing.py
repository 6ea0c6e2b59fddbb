"""Lengths in, packs of at most ``capacity`` tokens out: best-fit decreasing over counts.

The cold start trains on sequences of 64k tokens, each filled with whole samples (OVR 4.1). Samples
of one length are interchangeable, so that packs are filled by length, many at a time: the longest
lengths first, each into the packs with the least room that is enough. The work grows with the
number of distinct lengths, not of samples, which is what makes it quick for millions of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Packs:
    """Which samples lie in which pack.

    Attributes:
        members: (n_samples,) indices of the samples, pack after pack, each sample once.
        starts: (n_packs + 1,) where each pack begins in ``members``.
    """

    members: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, pack: int) -> np.ndarray:
        """The samples of one pack."""
        members: np.ndarray = self.members[self.starts[pack] : self.starts[pack + 1]]
        return members


# The lengths in a pack as a chain, the last one first; packs share the beginnings of their chains.
Chain = tuple[int, Any]


def pack(lengths: Sequence[int] | np.ndarray, capacity: int) -> Packs:
    """Pack samples of the given lengths; the same lengths always give the same packs.

    Args:
        lengths: (n_samples,) tokens of each sample, all from 1 to ``capacity``.
        capacity: most tokens of one pack.

    Raises:
        ValueError: a length is not within these bounds; the message says where.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    wrong = np.flatnonzero((sizes < 1) | (sizes > capacity))
    if len(wrong):
        first = int(wrong[0])
        raise ValueError(
            f"{len(wrong)} lengths are not from 1 to {capacity}; the first is {sizes[first]} "
            f"at {first}"
        )
    by_length = np.argsort(-sizes, kind="stable")
    values, counts = np.unique(sizes, return_counts=True)
    values, counts = values[::-1], counts[::-1]
    firsts = np.concatenate(([0], np.cumsum(counts)))
    groups = _Groups(capacity)
    for length, count in zip(values.tolist(), counts.tolist(), strict=True):
        groups.place(length, count)
    next_of_length = dict(zip(values.tolist(), firsts.tolist(), strict=False))
    return _spread(groups, by_length, next_of_length)


class _Groups:
    """Packs with the same lengths in them, counted, by the room that is left."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._by_room: dict[int, list[tuple[int, Chain]]] = {}
        self._rooms = 0  # bit r: there are packs with room r; the next larger one is found at once

    def __iter__(self) -> Iterator[tuple[int, Chain]]:
        for room in sorted(self._by_room):
            yield from self._by_room[room]

    def place(self, length: int, count: int) -> None:
        """Put ``count`` samples of one length into the tightest packs, opening new ones."""
        while count:
            enough = self._rooms >> length
            if not enough:
                count -= self._open(length, count)
                continue
            room = length + (enough & -enough).bit_length() - 1
            n_packs, chain = self._take(room)
            n_filled = min(n_packs, count)
            if n_filled < n_packs:
                self._add(room, n_packs - n_filled, chain)
            self._add(room - length, n_filled, (length, chain))
            count -= n_filled

    def _open(self, length: int, count: int) -> int:
        """Open packs, each with as many samples of this length as fit; returns how many it took."""
        n_each = min(self.capacity // length, count)
        chain: Any = None
        for _ in range(n_each):
            chain = (length, chain)
        self._add(self.capacity - n_each * length, count // n_each, chain)
        return count // n_each * n_each

    def _take(self, room: int) -> tuple[int, Chain]:
        group = self._by_room[room].pop()
        if not self._by_room[room]:
            del self._by_room[room]
            self._rooms ^= 1 << room
        return group

    def _add(self, room: int, n_packs: int, chain: Chain) -> None:
        self._by_room.setdefault(room, []).append((n_packs, chain))
        self._rooms |= 1 << room


def _spread(groups: _Groups, by_length: np.ndarray, next_of_length: dict[int, int]) -> Packs:
    """Give every pack its samples: the next ones of each of its lengths."""
    members, sizes = [], []
    for n_packs, chain in groups:
        columns = []
        link: Any = chain
        while link is not None:
            length, link = link
            first = next_of_length[length]
            next_of_length[length] = first + n_packs
            columns.append(by_length[first : first + n_packs])
        members.append(np.stack(columns, axis=1).reshape(-1) if n_packs > 1 else columns)
        sizes += [len(columns)] * n_packs
    flat = [np.concatenate(part) if isinstance(part, list) else part for part in members]
    joined = np.concatenate(flat) if flat else np.zeros(0, dtype=np.int64)
    return Packs(joined, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))))
