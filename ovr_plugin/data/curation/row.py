"""One row on its way through curation: the sample and what several steps want to know of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ovr_plugin.data.curation.picture_hash import PictureHash, picture_hash
from ovr_plugin.data.curation.text import question_text, tokens, word_hashes
from ovr_plugin.data.images import error_text
from ovr_plugin.data.sample import ColdStartSample, Sample


class Row:
    """A sample with its question's words and its pictures' hashes, each computed once, if asked."""

    def __init__(self, sample: Sample | ColdStartSample):
        self.sample = sample

    @cached_property
    def question(self) -> str:
        """What the row asks."""
        return question_text(self.sample.prompt)

    @cached_property
    def words(self) -> np.ndarray:
        """Hashes of the question's words; uint64."""
        return word_hashes(tokens(self.question))

    @cached_property
    def response_words(self) -> np.ndarray:
        """Hashes of the response's words; empty for a row without one."""
        return word_hashes(tokens(getattr(self.sample, "response", "")))

    @cached_property
    def pictures(self) -> list[PictureHash | str]:
        """A hash of each picture, or why it cannot be decoded."""
        return [_hashed(image) for image in getattr(self.sample, "images", [])]


def _hashed(image: object) -> PictureHash | str:
    try:
        return picture_hash(image)  # type: ignore[arg-type]
    except Exception as error:  # a corrupt file can make any decoder raise anything
        return f"unreadable image: {getattr(image, 'path', None) or '(bytes)'}: {error_text(error)}"
