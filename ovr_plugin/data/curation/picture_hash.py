"""Is it the same picture, although scaled or re-encoded? A hash proposes, a thumbnail decides.

The hash is a difference hash (dHash) of 512 bits: on a grid of 16 x 16, is a cell darker than its
right and than its lower neighbour, by more than a margin? The margin is why it is not the ImageHash
library's: most pictures here are line drawings on white, where half of the bits would be noise. And
a hash alone is not enough here: puzzles made by program differ in one digit or one colour, and the
hashes of 165 of 718 pictures of eight corpora lie within 16 bits of another one. So a thumbnail of
24 x 24 colours decides: of those pictures' copies (JPEG quality 60; half the size) it accepts 95 %
and 78 %, and of 576 pairs with near hashes 79 that are the same file and 16 others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ovr_plugin.data.images import ImageRef, open_image

GRID = 16
MARGIN = 4  # of 255 grey levels
N_HASH_BYTES = 2 * GRID * GRID // 8
THUMBNAIL = 24
MAX_HASH_DISTANCE = 48  # bits that may differ for the thumbnails to be looked at
MAX_THUMBNAIL_DISTANCE = 32  # of 255, of the one colour that differs most
MIN_DETAIL = 16  # bits that must be set: plainer pictures all look alike


@dataclass(frozen=True)
class PictureHash:
    """``bits``: (N_HASH_BYTES,) uint8. ``thumbnail``: (THUMBNAIL * THUMBNAIL * 3,) uint8."""

    bits: np.ndarray
    thumbnail: np.ndarray

    @property
    def is_plain(self) -> bool:
        """Whether there is too little in the picture to tell it from others."""
        return bool(detail(self.bits) < MIN_DETAIL)


def picture_hash(image: ImageRef) -> PictureHash:
    """Decode a picture and hash it.

    Raises:
        Exception: whatever the decoder of a broken file raises.
    """
    from PIL import Image

    box = Image.Resampling.BOX
    with open_image(image) as opened:
        opened.draft("RGB", (4 * THUMBNAIL, 4 * THUMBNAIL))  # JPEG decodes at a part of the size
        opened.load()
        small = _reduced(opened)
        thumbnail = np.asarray(small.resize((THUMBNAIL, THUMBNAIL), box), dtype=np.uint8)
        grey = small.convert("L")
    cells = np.asarray(grey.resize((GRID + 1, GRID + 1), box), dtype=np.int16)
    right = cells[:-1, :-1] + MARGIN < cells[:-1, 1:]
    below = cells[:-1, :-1] + MARGIN < cells[1:, :-1]
    return PictureHash(np.packbits(np.stack([right, below])), thumbnail.reshape(-1))


def _reduced(opened: Any) -> Any:
    """In RGB, transparent areas white as a page shows them, reduced by whole factors."""
    from PIL import Image

    if opened.mode.startswith("I"):  # 16 bits; PIL's own conversion cuts off instead of scaling
        grey = np.asarray(opened).astype(np.uint32) >> 8
        opened = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    has_alpha = opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info
    mode = "RGBA" if has_alpha else "RGB"
    small = opened if opened.mode == mode else opened.convert(mode)  # the same mode is copied too
    factor = min(small.size) // (4 * THUMBNAIL)
    if factor > 1:
        small = small.reduce(factor)
    if has_alpha:
        page = Image.new("RGBA", small.size, "white")
        page.alpha_composite(small)
        small = page.convert("RGB")
    return small


def detail(bits: np.ndarray) -> np.ndarray:
    """How many bits are set; over the last axis."""
    counts: np.ndarray = np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)
    return counts


def hash_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many bits of two hashes differ; over the last axis, broadcasting."""
    return detail(np.bitwise_xor(a, b))


def thumbnail_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest difference of two thumbnails' colours; over the last axis, broadcasting."""
    largest: np.ndarray = np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=-1)
    return largest
