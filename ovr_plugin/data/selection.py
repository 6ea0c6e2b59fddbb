"""Which rows come, how often and in which order: limits, the split, weights, as arrays.

Arrays have one element per good row, in the order in which sources were read. Every choice is a
hash of the seed with a row's id (``order``) or content, so it does not depend on the other rows
more than it must, and never on who did the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ovr_plugin.data.curation.duplicates import column
from ovr_plugin.data.curation.report import Report
from ovr_plugin.data.curation.text import hash64
from ovr_plugin.data.manifest import Manifest

PART = 1 << 16  # rows


def mixed(keys: np.ndarray, seed: int, salt: int = 0) -> np.ndarray:
    """A hash of each key with the seed; uint64 (splitmix64)."""
    bits: np.ndarray = keys + np.uint64(hash64(f"{seed}/{salt}".encode()))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def apply_limits(
    manifest: Manifest, keep: np.ndarray, source_of: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """Take from ``keep`` what lies beyond each source's limit; returns how many those are."""
    n_unused = np.zeros(len(manifest.sources), dtype=np.int64)
    for at, source in enumerate(manifest.sources):
        rows = np.flatnonzero(keep & (source_of == at))
        if source.limit is not None and len(rows) > source.limit:
            beyond = rows[np.argsort(order[rows], kind="stable")[source.limit :]]
            keep[beyond] = False
            n_unused[at] = len(beyond)
    return n_unused


def choose_val(
    manifest: Manifest, keep: np.ndarray, source_of: np.ndarray, content: np.ndarray
) -> np.ndarray:
    """Validation rows: of each source its share of questions, in the order of their hashes."""
    chosen = np.zeros(len(keep), dtype=bool)
    for at in range(len(manifest.sources)):
        rows = np.flatnonzero(keep & (source_of == at))
        keys = content[rows]
        if not manifest.val_fraction or not (keys != keys[:1]).any():
            continue  # the only question of a source is for training
        n_known = int(chosen[rows].sum())
        missing = math.ceil(manifest.val_fraction * len(rows)) - n_known
        known, new = set(content[chosen].tolist()), []
        if missing > 0:
            for key, n_rows in _first_by_hash(keys, missing + n_known, manifest.seed):
                if missing <= 0:
                    break
                if key not in known:
                    new.append(key)
                    missing -= n_rows
        for part in _parts(len(keep)):
            chosen[part] |= keep[part] & np.isin(content[part], np.array(new, dtype=np.uint64))
    return chosen


def _first_by_hash(keys: np.ndarray, n: int, seed: int) -> Iterator[tuple[int, int]]:
    """Keys in the order of their hashes, with how often each is there: the first ``n`` or more.

    Only those are sorted, which are few: the memory of sorting all would show.
    """
    place = mixed(keys, seed, salt=1)
    n = min(n, len(keys))
    few, n_rows = np.unique(keys[place <= np.partition(place, n - 1)[n - 1]], return_counts=True)
    for at in np.argsort(mixed(few, seed, salt=1), kind="stable"):
        yield int(few[at]), int(n_rows[at])


def row_weights(
    manifest: Manifest, marks: np.ndarray, keep: np.ndarray, source_of: np.ndarray, report: Report
) -> np.ndarray:
    """How often each training row is to come, on average."""
    weights = np.array([source.weight for source in manifest.sources])[source_of]
    values = column(marks, "strata")
    for place, stratum in enumerate(manifest.strata):
        parts = np.full(len(keep), -1, dtype=np.int64)
        parts[keep] = stratum.parts(values[keep, place], source_of[keep])
        each = np.array(stratum.part_weights())
        weights = weights * each[parts]
        counts = np.bincount(parts[keep] % len(each), minlength=len(each))
        rows = zip(stratum.part_names(), counts.tolist(), each.tolist(), strict=True)
        found = [{"part": name, "rows": n, "weight": w} for name, n, w in rows]
        report.strata.append({"by": stratum.by, "parts": found})
    return weights


def copies_in_order(keep: np.ndarray, weights: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The positions of the rows, each as often as its weight says, in their final order."""
    copies = np.flatnonzero(keep)
    n_copies = np.ones(len(copies), dtype=np.int64)
    for part in _parts(len(copies)):
        wanted, whole = weights[copies[part]], np.floor(weights[copies[part]])
        chance = (mixed(order[copies[part]], 0, salt=2) >> np.uint64(11)) / float(1 << 53)
        n_copies[part] = whole + (chance < wanted - whole)
    copies = np.repeat(copies, n_copies)
    first = np.cumsum(n_copies)
    first -= n_copies
    which = np.arange(len(copies))
    which -= np.repeat(first, n_copies)
    place = order[copies]
    place += which.view(np.uint64)
    del first, which, n_copies
    for part in _parts(len(place)):
        place[part] = mixed(place[part], 0, salt=3)
    ordered: np.ndarray = copies[np.argsort(place, kind="stable")]
    return ordered


def _parts(n: int) -> Iterator[slice]:
    """A million rows' intermediate results would be in memory all at once."""
    return (slice(start, start + PART) for start in range(0, n, PART))
