"""Samples and pictures for the tests of curation."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.sample import ColdStartSample, Sample


@pytest.fixture
def ask() -> Callable[..., Sample]:
    def sample(question: str, answer: str = "2", *images: ImageRef, **fields: Any) -> Sample:
        prompt = question_prompt(question, fields.get("choices"), len(images))
        return Sample("test", prompt, answer, list(images), **{"id": "test/a#0", **fields})

    return sample


@pytest.fixture
def row(ask: Callable[..., Sample]) -> Callable[..., Row]:
    return lambda *args, **fields: Row(ask(*args, **fields))


@pytest.fixture
def answered() -> Callable[..., Row]:
    def pair(response: str, question: str = "What is 1 + 1?") -> Row:
        return Row(ColdStartSample("test", question_prompt(question), response, id="test/a#0"))

    return pair


@pytest.fixture
def diagram() -> Callable[..., Image.Image]:
    """A drawing of lines and figures, as textbooks have them; another seed draws another."""

    def draw(seed: int, size: int = 400) -> Image.Image:
        rng = np.random.default_rng(seed)
        image = Image.new("RGB", (size, size), "white")
        canvas = ImageDraw.Draw(image)
        points = [tuple(map(int, p)) for p in rng.integers(20, size - 20, (6, 2))]
        canvas.line([*points, points[0]], fill="black", width=3)
        for point in points:
            canvas.ellipse((point[0] - 8, point[1] - 8, point[0] + 8, point[1] + 8), fill="navy")
        return image

    return draw


@pytest.fixture
def encoded() -> Callable[..., ImageRef]:
    def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> ImageRef:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        return ImageRef(data=buffer.getvalue())

    return encode
