"""Picture hashes: copies are near, others are not; the header decides what is tiny or wide."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ovr_plugin.data.curation.filters import Pictures
from ovr_plugin.data.curation.picture_hash import (
    MAX_HASH_DISTANCE,
    MAX_THUMBNAIL_DISTANCE,
    hash_distance,
    picture_hash,
    thumbnail_distance,
)


def same(a, b):
    near = hash_distance(a.bits, b.bits) <= MAX_HASH_DISTANCE
    return bool(near and thumbnail_distance(a.thumbnail, b.thumbnail) <= MAX_THUMBNAIL_DISTANCE)


def test_copies_are_the_same_and_other_drawings_are_not(diagram, encoded):
    drawings = [diagram(seed) for seed in range(30)]
    hashes = [picture_hash(encoded(drawing)) for drawing in drawings]
    for drawing, made in zip(drawings, hashes, strict=True):
        assert same(made, picture_hash(encoded(drawing, "JPEG", quality=60)))
        assert same(made, picture_hash(encoded(drawing.convert("P"), "PNG")))
        assert same(made, picture_hash(encoded(drawing, "WEBP", quality=70)))
        assert same(
            made, picture_hash(encoded(drawing.resize((300, 300), Image.Resampling.LANCZOS)))
        )
    assert not any(same(a, b) for i, a in enumerate(hashes) for b in hashes[:i])


def test_one_digit_or_one_colour_makes_another_picture(encoded):
    def puzzle(digit, colour):
        image = Image.new("RGB", (400, 400), "white")
        canvas = ImageDraw.Draw(image)
        for n, place in enumerate([(60, 60), (220, 60), (60, 220)]):
            canvas.rectangle((*place, place[0] + 100, place[1] + 100), outline="black", fill="gray")
            canvas.text((place[0] + 30, place[1] + 20), str(n), fill="black", font_size=60)
        canvas.rectangle((220, 220, 320, 320), fill=colour)
        canvas.text((250, 240), digit, fill="black", font_size=60)
        return picture_hash(encoded(image))

    one = puzzle("3", "orange")
    assert not same(one, puzzle("7", "orange"))
    # Equal in grey: the hash alone would take them for the same.
    assert not same(one, puzzle("3", "lightblue"))
    assert same(one, puzzle("3", "orange"))


def test_transparency_is_white_and_sixteen_bits_are_scaled(diagram, encoded):
    drawing = diagram(1)
    alpha = Image.fromarray((np.asarray(drawing.convert("L")) < 250).astype(np.uint8) * 255)
    transparent = drawing.copy()
    transparent.paste((0, 0, 0), mask=Image.eval(alpha, lambda v: 255 - v))
    transparent.putalpha(alpha)
    assert same(picture_hash(encoded(drawing)), picture_hash(encoded(transparent)))
    grey = drawing.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert same(picture_hash(encoded(grey)), picture_hash(encoded(deep)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (56, 56), (1500, 900)])
def test_every_mode_and_size_has_a_hash(encoded, mode, size):
    image = Image.new("I;16" if mode == "I;16" else mode, size)
    kind = "TIFF" if mode in ("CMYK", "F") else "PNG"
    made = picture_hash(encoded(image, kind))
    assert made.is_plain
    assert made.bits.shape == (64,)
    assert made.thumbnail.shape == (1728,)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((28, 28), None),
        ((560, 28), None),
        ((27, 100), "image too small: 27 x 100 pixels, a side under 28"),
        ((589, 28), "image too elongated: 589 x 28 pixels, over 20 : 1"),
    ],
)
def test_tiny_and_wide_pictures_go_by_their_header(row, encoded, tmp_path, size, reason):
    image = encoded(Image.new("RGB", size))
    assert Pictures().predicate(tmp_path)(row("<image>?", "2", image)) == reason


def test_a_picture_broken_behind_its_header_is_found_by_decoding(row, encoded, diagram, tmp_path):
    whole = encoded(diagram(1))
    cut = type(whole)(data=whole.data[: len(whole.data) // 2])
    predicate = Pictures().predicate(tmp_path)
    assert predicate(row("<image>?", "2", whole)) is None
    assert predicate(row("<image>?", "2", cut)).startswith("unreadable image: (bytes): ")
    assert Pictures(decode=False).predicate(tmp_path)(row("<image>?", "2", cut)) is None
