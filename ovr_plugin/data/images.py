"""Pictures by reference: what is wrong with one, how large it is, how many tokens it becomes.

Nothing here keeps a decoded picture. Sizes come from the file's header, so counting the tokens of a
large corpus does not decode it. What is decided of unusual pictures:

- Refused: more pixels than Pillow opens without fear of a decompression bomb; cut files; several
  frames (which of them was asked about?); 16 bits a channel (Pillow cuts them off at 255, which
  turns a picture white); sides of more than 200 : 1; pipes, devices and dangling links.
- Taken, and made RGB: grey, one bit, palette, CMYK; what is transparent is put on white.
- Taken as it is stored: a photograph whose EXIF data ask to be rotated. Qwen's own preprocessing
  does not rotate it either, and the header's size is then the picture's.
- Followed: links on the disk. A row's path may not lead out of its corpus
  (`ovr_plugin.data.readers._pictures`); a training file's paths are absolute and trusted.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

# Qwen2.5-VL's smart_resize (and qwen_vl_utils') refuses anything more elongated.
MAX_ASPECT_RATIO = 200
# qwen_vl_utils' limits of a picture, where none is set.
MIN_TOKENS, MAX_TOKENS = 4, 16384
TOKEN_PIXELS = 28 * 28  # a merged patch of Qwen2.5-VL; of other models, see `ImageTokens`

# What pictures come in. Pillow reads more, some of it by starting another program (EPS).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "ICO", "TGA", "AVIF")
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class ImageRef:
    """Where a picture is: a file's absolute path, or the bytes of an image file."""

    path: str | None = None
    data: bytes | None = None

    def source(self) -> str | BytesIO:
        """What ``PIL.Image.open`` takes; bytes win over the path, which then is only a name."""
        return BytesIO(self.data) if self.data is not None else str(self.path)


@dataclass(frozen=True)
class PixelLimits:
    """Least and most pixels of a picture once it is resized; None leaves it to qwen_vl_utils."""

    min_pixels: int | None = None
    max_pixels: int | None = None

    def over(self, others: PixelLimits) -> PixelLimits:
        """Each limit that is set here, and ``others``' where none is: a row's over the run's."""
        low = others.min_pixels if self.min_pixels is None else self.min_pixels
        high = others.max_pixels if self.max_pixels is None else self.max_pixels
        return PixelLimits(low, high)

    def as_dict(self) -> dict[str, int]:
        """Those that are set, as a picture's item in a chat message has them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def problem(self, token_pixels: int = TOKEN_PIXELS) -> str | None:
        """Why no picture can be within them, or None; ``token_pixels``: of a merged patch."""
        for name, value in self.as_dict().items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                return f"{name} is {value!r}; it must be a positive number of pixels"
        low, high = self.min_pixels, self.max_pixels
        if low is not None and high is not None and low > high:
            return f"min_pixels {low} and max_pixels {high} leave no picture"
        library = "limit of qwen_vl_utils: set"
        if low is None and high is not None and high < MIN_TOKENS * token_pixels:
            least = MIN_TOKENS * token_pixels
            return f"max_pixels {high} is below {least}, the lower {library} min_pixels too"
        if high is None and low is not None and low > MAX_TOKENS * token_pixels:
            most = MAX_TOKENS * token_pixels
            return f"min_pixels {low} is above {most}, the upper {library} max_pixels too"
        return None


def open_image(image: ImageRef) -> Any:
    """The ``PIL.Image`` of ``image``, decoded later, at its first use."""
    from PIL import Image

    return Image.open(image.source(), formats=FORMATS)


def size_of(image: ImageRef) -> tuple[int, int]:
    """(height, width) in pixels, from the header alone."""
    with open_image(image) as opened:
        width, height = opened.size
    return height, width


def header_problem(image: ImageRef) -> str | None:
    """Why the picture cannot be used, as far as its header tells; None if it can."""
    reason = _reference_problem(image)
    if reason:
        return reason
    name = image.path or "(bytes)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", _bomb_warning())
            with open_image(image) as opened:
                (width, height), mode = opened.size, opened.mode
                # A camera's MPO file holds its photograph first, then a preview.
                n_frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
    except Exception as error:  # a corrupt file can make any decoder raise anything
        return f"unreadable image: {name}: {error_text(error)}"
    if n_frames > 1:
        return f"animated image: {n_frames} frames: {name}"
    if mode.startswith(("I", "F")):
        return f"16-bit image: mode {mode}: {name}; convert it to 8 bits"
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        return f"image too elongated: {width} x {height} pixels, over {MAX_ASPECT_RATIO} : 1"
    return None


def error_text(error: Exception) -> str:
    """What an error says, the same in every run: without the addresses of objects."""
    return ADDRESS.sub("", str(error))


def _bomb_warning() -> type[Warning]:
    from PIL import Image

    return Image.DecompressionBombWarning


def decode_problem(image: ImageRef) -> str | None:
    """As `header_problem`, and the pixels are decoded too."""
    reason = header_problem(image)
    if reason:
        return reason
    try:
        with open_image(image) as opened:
            opened.load()
    except Exception as error:  # as above
        return f"unreadable image: {image.path or '(bytes)'}: {error_text(error)}"
    return None


def _reference_problem(image: ImageRef) -> str | None:
    if image.data is not None:
        return None if image.data else "unreadable image: (bytes): no bytes"
    if not image.path:
        return "image with neither path nor bytes"
    if "://" in image.path:
        return f"image given by URL: {image.path}; download it and give its path"
    if not Path(image.path).is_absolute():
        return f"relative image path: {image.path}; it must be absolute"
    if not os.path.isfile(image.path):  # pathlib raises for a name that is too long
        return f"missing image file: {image.path:.200}"
    return None


def _enlarged(n_tokens: float) -> int:
    """Most tokens of a picture that is enlarged to ``n_tokens``: both its sides are rounded up."""
    longest = math.sqrt(n_tokens * MAX_ASPECT_RATIO)
    return math.ceil(n_tokens + longest + longest / MAX_ASPECT_RATIO + 1)


class ImageTokens:
    """How many prompt tokens a picture becomes, as the agent loop and the processor make them.

    veRL resizes twice: ``qwen_vl_utils`` within the item's own limits, then the processor within
    its own; the count follows both. ``limits`` are the item's: a row's own over the run's.

    Args:
        image_processor: of the Qwen2-VL family.
        processor_kwargs: veRL's ``data.mm_processor_kwargs``.
    """

    def __init__(
        self,
        image_processor: Any,
        processor_kwargs: dict[str, Any] | None = None,
    ):
        self.image_processor = image_processor
        self.processor_kwargs = dict(processor_kwargs or {})
        self.factor = int(image_processor.patch_size * image_processor.merge_size)
        self._counts: dict[tuple[int, int, PixelLimits], int] = {}

    @property
    def token_pixels(self) -> int:
        """Pixels of a merged patch, which is one token."""
        return self.factor**2

    def _processor_limits(self) -> tuple[int | None, int | None]:
        """The processor's own as it takes them: ``min_pixels`` and ``max_pixels`` only together.

        Its count of patches takes each of the two alone, and no ``size``: it would be another one.
        """
        given = self.processor_kwargs
        low, high = given.get("min_pixels"), given.get("max_pixels")
        if low is not None and high is not None:
            return low, high
        size = dict(given.get("size") or self.image_processor.size or {})
        return size.get("shortest_edge"), size.get("longest_edge")

    def upper_bound(self, limits: PixelLimits) -> int | None:
        """No picture becomes more tokens than this; None where the processor has no limits."""
        area = self.token_pixels
        low, high = self._processor_limits()
        if not low or not high:
            return None
        n_high = min(high, limits.max_pixels or high) / area
        lows = [low, limits.min_pixels or MIN_TOKENS * area]
        # A thin picture keeps a side of one token, whatever the limit.
        thin = math.ceil(math.sqrt(n_high * MAX_ASPECT_RATIO))
        return max(int(n_high), thin, *(_enlarged(pixels / area) for pixels in lows))

    def count(self, image: ImageRef, limits: PixelLimits) -> int:
        """Tokens of one picture, by its header; 0 if the limits shrink a side of it to nothing."""
        key = (*size_of(image), limits)
        if key not in self._counts:
            self._counts[key] = self._count(*key)
        return self._counts[key]

    def _count(self, height: int, width: int, limits: PixelLimits) -> int:
        from qwen_vl_utils.vision_process import smart_resize

        low, high = limits.min_pixels, limits.max_pixels
        height, width = smart_resize(height, width, self.factor, low, high)
        if not height or not width:
            return 0
        low, high = self._processor_limits()
        n_patches = self.image_processor.get_number_of_image_patches(
            height, width, {**self.processor_kwargs, "min_pixels": low, "max_pixels": high}
        )
        return n_patches // self.image_processor.merge_size**2
