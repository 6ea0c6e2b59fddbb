"""Which rows say the same as an earlier one? Answered from fingerprints, in a few numbers a row.

A fingerprint (`FINGERPRINT`) is a fixed number of bytes per row, on disk. Equal content is found by
sorting one hash; similar content by locality-sensitive hashing: sixteen band keys per row, each
band sorted on its own, and neighbours in the sorted order compared. So what is in memory at a time
is a few numbers per row (58 bytes, measured with a million), never the rows, and the result does
not depend on how the work was divided.

Two rows are near duplicates if all of this holds: the same reference and the same numbers in the
question (problems made by template differ in nothing else), a Jaccard similarity of the questions'
word 3-grams of at least ``similarity``, and the same first picture (`picture_hash`), other pictures
byte for byte. The earlier row stays. An equal question with another reference is told apart: one
of the two is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ovr_plugin.data.curation.picture_hash import (
    MAX_HASH_DISTANCE,
    MAX_THUMBNAIL_DISTANCE,
    N_HASH_BYTES,
    PictureHash,
    hash_distance,
    thumbnail_distance,
)
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.text import (
    N_PERMUTATIONS,
    NUMBER,
    SHINGLE,
    hash64,
    minhash,
    ngrams,
    sequence_hash,
)
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import Sample

N_BANDS = 16  # of 4 values each: at a similarity of 0.8, 1 pair in 5000 shares no band
NEIGHBOURS = 8  # how far in a band's order a row is compared, beside with the first of its key
BLOCK = 8192

FINGERPRINT = np.dtype(
    [
        ("content", "<u8"),  # words and pictures' bytes
        ("facts", "<u8"),  # what must be equal in near duplicates
        ("reference", "<u8"),
        ("signature", "<u4", (N_PERMUTATIONS,)),
        ("has_picture", "?"),
        ("bits", "u1", (N_HASH_BYTES,)),
        ("thumbnail", "<i8"),  # its place among the thumbnails; -1 without a picture
    ]
)


def fingerprint(row: Row) -> tuple[np.ndarray, np.ndarray | None]:
    """One row of `FINGERPRINT`, and its first picture's thumbnail; ``thumbnail`` is not yet set."""
    sample = row.sample
    words = np.concatenate([row.words, row.response_words])
    pictures = [hash64(image_bytes(image)) for image in getattr(sample, "images", [])]
    said = (getattr(sample, "ground_truth", None) or "").strip()
    said = said.lstrip("0") or "0" if said.isdecimal() else said  # AIME's 042
    reference = hash64(said.encode(errors="replace"))
    numbers = " ".join(NUMBER.findall(row.question))
    made = np.zeros((), dtype=FINGERPRINT)
    made["content"] = hash64(f"{sequence_hash(words)} {pictures}".encode())
    made["facts"] = hash64(f"{reference} {numbers} {len(pictures)} {pictures[1:]}".encode())
    made["reference"] = reference
    made["thumbnail"] = -1
    if len(words):
        made["signature"] = minhash(ngrams(words, SHINGLE))
    first = row.pictures[0] if row.pictures else None
    if not isinstance(first, PictureHash):
        return made, None
    made["has_picture"], made["bits"] = True, first.bits
    return made, first.thumbnail


def image_bytes(image: ImageRef) -> bytes:
    """The file's bytes."""
    return image.data if image.data is not None else Path(str(image.path)).read_bytes()


def content_key(sample: Sample) -> int:
    """Equal for rows that ask the same in the same words about the same pictures."""
    return int(fingerprint(Row(sample))[0]["content"])


@dataclass(frozen=True)
class Duplicates:
    """What was found: for row ``later[i]``, the kept row ``earlier[i]`` and the ``kind[i]``."""

    later: np.ndarray
    earlier: np.ndarray
    kind: np.ndarray  # an index into `KINDS`

    KINDS = ("exact duplicate", "same question, another reference", "near duplicate")


def find_duplicates(
    fingerprints: np.ndarray, thumbnails: np.ndarray, *, near: bool = True, similarity: float = 0.8
) -> Duplicates:
    """The rows that an earlier row makes superfluous, by position.

    Args:
        fingerprints: (n,) of `FINGERPRINT`; may be a memory-mapped file.
        thumbnails: (n_pictures, 3 * 24 * 24) uint8; may be a memory-mapped file.
        near: also find near duplicates.
        similarity: of the questions, from 0 to 1.
    """
    n_rows = len(fingerprints)
    first_of = np.arange(n_rows, dtype=np.int64)  # union-find: a row's earliest equal
    content = column(fingerprints, "content")
    later, earlier = _equal_keys(content)
    first_of[later] = earlier
    exact = np.zeros(n_rows, dtype=bool)
    exact[later] = True
    if near:
        for a, b in _near_pairs(fingerprints, thumbnails, content, similarity):
            _join(first_of, a, b)
    roots = _roots(first_of)
    later = np.flatnonzero(roots != np.arange(n_rows))
    reference = column(fingerprints, "reference")
    content_first = np.arange(n_rows, dtype=np.int64)
    content_first[exact.nonzero()[0]] = first_of_equal(content)[exact]
    same = exact[later]
    differs = same & (reference[later] != reference[content_first[later]])
    kind = np.where(differs, 1, np.where(same, 0, 2))
    kept = np.where(same, content_first[later], roots[later])
    return Duplicates(later, kept, kind.astype(np.int8))


def first_of_equal(keys: np.ndarray) -> np.ndarray:
    """For each place, the first place that holds the same key."""
    firsts = np.arange(len(keys), dtype=np.int64)
    order, first = _sharing(keys)
    firsts[order] = order[first]
    return firsts


def _sharing(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places whose key another place has too, by key and place; where in them each key begins.

    Those are few; all that is made of them is small, whatever the number of keys.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_first = np.ones(len(ordered) + 1, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:-1])
    shares = ~(is_first[:-1] & is_first[1:])
    order, is_first = order[shares], is_first[:-1][shares]
    return order, np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))


def _equal_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = first_of_equal(keys)
    later = np.flatnonzero(first != np.arange(len(keys)))
    return later, first[later]


def _blocks(fingerprints: np.ndarray) -> Iterator[np.ndarray]:
    """Piece by piece; of a mapped file by reading, because mapped pages count as our memory."""
    if isinstance(fingerprints, np.memmap):
        with Path(str(fingerprints.filename)).open("rb") as file:
            while len(block := np.fromfile(file, fingerprints.dtype, BLOCK)):
                yield block
    else:
        for start in range(0, len(fingerprints), BLOCK):
            yield fingerprints[start : start + BLOCK]


def column(fingerprints: np.ndarray, name: str) -> np.ndarray:
    """One column, in memory."""
    kind = fingerprints.dtype[name]
    found = np.zeros((len(fingerprints), *kind.shape), dtype=kind.base)
    start = 0
    for block in _blocks(fingerprints):
        found[start : start + len(block)] = block[name]
        start += len(block)
    return found


def _band_keys(fingerprints: np.ndarray, band: int) -> np.ndarray:
    """The key of one band: of the words or, with a picture, of it; and of the facts."""
    text = slice(band * N_PERMUTATIONS // N_BANDS, (band + 1) * N_PERMUTATIONS // N_BANDS)
    picture = slice(band * N_HASH_BYTES // N_BANDS, (band + 1) * N_HASH_BYTES // N_BANDS)
    keys = np.zeros(len(fingerprints), dtype=np.uint64)
    start = 0
    for block in _blocks(fingerprints):
        values = block["signature"][:, text].astype(np.uint64)
        pixels = block["bits"][:, picture].astype(np.uint64)
        mixed = block["facts"].astype(np.uint64)
        for value in np.where(block["has_picture"][:, None], pixels, values).T:
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + value
            mixed ^= mixed >> np.uint64(29)
        keys[start : start + len(block)] = mixed
        start += len(block)
    return keys


def _near_pairs(
    fingerprints: np.ndarray, thumbnails: np.ndarray, content: np.ndarray, similarity: float
) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) that are near duplicates; enough of them to join all clusters."""
    for band in range(N_BANDS):
        order, first = _sharing(_band_keys(fingerprints, band))
        for offset in range(NEIGHBOURS + 1):
            # Offset 0 compares with the first of the key, the others with a neighbour.
            places = np.arange(len(order))
            others = first if offset == 0 else places - offset
            places, others = places[others >= 0], others[others >= 0]
            together = (first[places] == first[others]) & (places != others)
            a, b = order[others[together]], order[places[together]]
            a, b = a[content[a] != content[b]], b[content[a] != content[b]]
            for start in range(0, len(a), 4096):
                piece = slice(start, start + 4096)
                near = _are_near(fingerprints, thumbnails, a[piece], b[piece], similarity)
                yield from zip(a[piece][near].tolist(), b[piece][near].tolist(), strict=True)


def _are_near(
    fingerprints: np.ndarray,
    thumbnails: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    similarity: float,
) -> np.ndarray:
    one, two = fingerprints[a], fingerprints[b]
    shared = (one["signature"] == two["signature"]).mean(axis=1)
    near: np.ndarray = (one["facts"] == two["facts"]) & (shared >= similarity)
    near &= one["has_picture"] == two["has_picture"]
    looked_at = np.flatnonzero(near & one["has_picture"])
    if len(looked_at):
        bits = hash_distance(one["bits"][looked_at], two["bits"][looked_at])
        colours = thumbnail_distance(
            thumbnails[one["thumbnail"][looked_at]], thumbnails[two["thumbnail"][looked_at]]
        )
        near[looked_at] = (bits <= MAX_HASH_DISTANCE) & (colours <= MAX_THUMBNAIL_DISTANCE)
    return near


def _join(first_of: np.ndarray, a: int, b: int) -> None:
    one, two = _root(first_of, a), _root(first_of, b)
    first_of[max(one, two)] = min(one, two)


def _root(first_of: np.ndarray, row: int) -> int:
    root = row
    while first_of[root] != root:
        root = int(first_of[root])
    while first_of[row] != root:  # the path becomes short for the next
        first_of[row], row = root, int(first_of[row])
    return root


def _roots(first_of: np.ndarray) -> np.ndarray:
    roots = first_of
    while not np.array_equal(shorter := roots[roots], roots):
        roots = shorter
    return roots
