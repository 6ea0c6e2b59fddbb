"""Which rows come, how often and in which order: limits, the split, weights, as arrays.

Arrays have one element per good row, in the order in which sources were read. Every choice is a
hash of the seed with a row's id (``order``) or content, so it does not depend on the other rows
more than it must, and never on who did the work.
"""

from __future__ import annotations

import math

import numpy as np

from ovr_plugin.data.curation.duplicates import column
from ovr_plugin.data.curation.report import Report
from ovr_plugin.data.curation.text import hash64
from ovr_plugin.data.manifest import Manifest


def mixed(keys: np.ndarray, seed: int, salt: int = 0) -> np.ndarray:
    """A hash of each key with the seed; uint64 (splitmix64)."""
    bits = keys + np.uint64(hash64(f"{seed}/{salt}".encode()))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    result: np.ndarray = bits ^ (bits >> np.uint64(31))
    return result


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
        keys, n_rows = np.unique(content[rows], return_counts=True)
        if len(keys) < 2 or not manifest.val_fraction:
            continue  # the only question of a source is for training
        missing = math.ceil(manifest.val_fraction * len(rows)) - int(chosen[rows].sum())
        known = np.isin(keys, content[chosen])
        for place in np.argsort(mixed(keys, manifest.seed, salt=1), kind="stable"):
            if missing <= 0:
                break
            if not known[place]:
                chosen |= keep & (content == keys[place])
                missing -= int(n_rows[place])
    return chosen


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
    rows = np.flatnonzero(keep)
    whole = np.floor(weights[rows])
    chance = (mixed(order[rows], 0, salt=2) >> np.uint64(11)) / float(1 << 53)
    n_copies = (whole + (chance < weights[rows] - whole)).astype(np.int64)
    copies = np.repeat(rows, n_copies)
    which = np.arange(len(copies)) - np.repeat(np.cumsum(n_copies) - n_copies, n_copies)
    place = mixed(order[copies] + which.astype(np.uint64), 0, salt=3)
    ordered: np.ndarray = copies[np.lexsort((copies, place))]
    return ordered
