"""Is a row, in words or in picture, in a set that is kept for evaluation?

A text is contaminated if it shares so many n-grams with one evaluation question that it holds most
of that question, or that question most of it. (open-r1 drops a row for a single shared 8-gram,
which is what ``share: 0`` does; of competition problems that is often boilerplate such as "where m
and n are relatively prime positive integers. Find m + n".) A question shorter than n words must be
the same. A picture is contaminated if it is a picture of an evaluation set, by `picture_hash`;
pictures too plain to tell apart are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ovr_plugin.data.curation.picture_hash import (
    MAX_HASH_DISTANCE,
    MAX_THUMBNAIL_DISTANCE,
    N_HASH_BYTES,
    THUMBNAIL,
    PictureHash,
    hash_distance,
    thumbnail_distance,
)
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.text import ngrams
from ovr_plugin.data.sample import Sample


@dataclass(frozen=True)
class EvaluationIndex:
    """The n-grams and pictures of all evaluation questions.

    Attributes:
        names: of the questions, (n_questions,).
        n_grams: how many different n-grams each has, (n_questions,).
        grams: sorted hashes of all n-grams, (n_total,) uint64; `owners`: whose each is.
        bits, thumbnails, picture_owners: of all pictures, one row each.
    """

    n: int
    names: list[str]
    n_grams: np.ndarray
    grams: np.ndarray
    owners: np.ndarray
    bits: np.ndarray
    thumbnails: np.ndarray
    picture_owners: np.ndarray

    @classmethod
    def of(cls, samples: Iterable[Sample], n: int = 8) -> EvaluationIndex:
        """Index the evaluation rows; pictures that cannot be decoded or are plain are left out."""
        names: list[str] = []
        grams: list[np.ndarray] = []
        pictures: list[tuple[int, PictureHash]] = []
        for owner, sample in enumerate(samples):
            row = Row(sample)
            names.append(sample.id)
            grams.append(np.unique(ngrams(row.words, n)) if len(row.words) else row.words)
            hashes = [one for one in row.pictures if isinstance(one, PictureHash)]
            pictures += [(owner, one) for one in hashes if not one.is_plain]
        flat = np.concatenate(grams) if grams else np.zeros(0, dtype=np.uint64)
        owners = np.repeat(np.arange(len(grams)), [len(each) for each in grams])
        order = np.argsort(flat, kind="stable")
        bits = [one.bits for _, one in pictures]
        thumbnails = [one.thumbnail for _, one in pictures]
        return cls(
            n=n,
            names=names,
            n_grams=np.array([len(each) for each in grams], dtype=np.int64),
            grams=flat[order],
            owners=owners[order],
            bits=np.array(bits, dtype=np.uint8).reshape(-1, N_HASH_BYTES),
            thumbnails=np.array(thumbnails, dtype=np.uint8).reshape(-1, 3 * THUMBNAIL**2),
            picture_owners=np.array([owner for owner, _ in pictures], dtype=np.int64),
        )

    def text_owner(self, words: np.ndarray, share: float) -> tuple[str, float] | None:
        """The evaluation question that the words are of, and the share of n-grams in common."""
        if not len(words) or not len(self.grams):
            return None
        grams = np.unique(ngrams(words, self.n))
        starts = np.searchsorted(self.grams, grams, side="left")
        ends = np.searchsorted(self.grams, grams, side="right")
        hits = ends > starts
        if not hits.any():
            return None
        found = [self.owners[a:b] for a, b in zip(starts[hits], ends[hits], strict=True)]
        owners, counts = np.unique(np.concatenate(found), return_counts=True)
        shares = counts / np.minimum(self.n_grams[owners], len(grams))
        best = int(np.argmax(shares))
        if shares[best] < share:
            return None
        return self.names[owners[best]], float(shares[best])

    def picture_owner(self, picture: PictureHash) -> str | None:
        """The evaluation question that the picture is of."""
        if picture.is_plain or not len(self.bits):
            return None
        near = np.flatnonzero(hash_distance(self.bits, picture.bits) <= MAX_HASH_DISTANCE)
        if not len(near):
            return None
        distances = thumbnail_distance(self.thumbnails[near], picture.thumbnail)
        best = int(np.argmin(distances))
        if distances[best] > MAX_THUMBNAIL_DISTANCE:
            return None
        return self.names[self.picture_owners[near[best]]]


def contaminated(row: Row, index: EvaluationIndex, share: float) -> str | None:
    """Why the row belongs to an evaluation set, or None."""
    found = index.text_owner(row.words, share)
    if found:
        name, shared = found
        return f"contaminated, text: {shared:.0%} of its {index.n}-grams are those of {name}"
    for picture in row.pictures:
        owner = index.picture_owner(picture) if isinstance(picture, PictureHash) else None
        if owner:
            return f"contaminated, picture: it is that of {owner}"
    return None
