"""How many tokens a prompt has once the chat template and the pictures are in it.

veRL cuts a text prompt that is too long from the left, which loses the question, and fails on an
image prompt deep in the rollout, where the row silently becomes padding. So lengths are known
before training. Cheaply: a byte-level token covers at least one byte, so a prompt with no more
bytes than the limit needs no tokenizing, and a picture's tokens follow from its header.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from ovr_plugin.data.images import ImageRef, ImageTokens, PixelLimits
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Message


def with_image_parts(prompt: Sequence[Message], items: Sequence[dict[str, Any]]) -> list[dict]:
    """The messages with each ``<image>`` replaced by the next of ``items``.

    A message without pictures keeps its string; one with pictures becomes a list of parts, as the
    processor's chat template wants it.
    """
    remaining = iter(items)
    messages = []
    for message in prompt:
        content: Any = message["content"]
        if items and IMAGE_PLACEHOLDER in content:
            pieces = re.split(f"({IMAGE_PLACEHOLDER})", content)
            content = [
                next(remaining) if piece == IMAGE_PLACEHOLDER else {"type": "text", "text": piece}
                for piece in pieces
                if piece
            ]
        messages.append({"role": message["role"], "content": content})
    return messages


def n_bytes(text: str) -> int:
    """Bytes of ``text`` after Qwen's normalisation: at least as many as its tokens."""
    if text.isascii():
        return len(text)
    return len(unicodedata.normalize("NFC", text).encode())


class PromptLength:
    """Counts a prompt's tokens as the agent loop will produce them.

    Args:
        tokenizer: of the model.
        processor: of the model, or None for a text model.
        image_tokens: counter of a picture's tokens; needed for prompts with pictures.
        template_kwargs: veRL's ``data.apply_chat_template_kwargs``.
    """

    def __init__(
        self,
        tokenizer: Any,
        processor: Any = None,
        image_tokens: ImageTokens | None = None,
        template_kwargs: dict[str, Any] | None = None,
    ):
        self.tokenizer = tokenizer
        self.renderer = tokenizer if processor is None else processor
        self.image_tokens = image_tokens
        self.template_kwargs = dict(template_kwargs or {})
        self._overheads: dict[tuple[str, ...], int] = {}

    def exceeds(
        self,
        prompt: Sequence[Message],
        images: Sequence[ImageRef],
        limit: int,
        pixel_limits: PixelLimits,
    ) -> int:
        """The exact number of tokens if it is over ``limit``, else 0."""
        n_image_tokens = sum(self._image_tokens(image, pixel_limits) for image in images)
        if self.upper_bound(prompt) + n_image_tokens <= limit:
            return 0
        exact = self.text_tokens(prompt, len(images)) + n_image_tokens
        return exact if exact > limit else 0

    def upper_bound(self, prompt: Sequence[Message]) -> int:
        """A bound on the tokens of the text and the template, from their bytes."""
        roles = tuple(message["role"] for message in prompt)
        if roles not in self._overheads:
            empty = [{"role": role, "content": ""} for role in roles]
            self._overheads[roles] = n_bytes(self.render(empty))
        return self._overheads[roles] + sum(n_bytes(message["content"]) for message in prompt)

    def text_tokens(self, prompt: Sequence[Message], n_images: int = 0) -> int:
        """Tokens of the rendered prompt, without the ones that pictures become."""
        messages = with_image_parts(prompt, [{"type": "image"}] * n_images)
        ids = self.tokenizer(self.render(messages), add_special_tokens=False)["input_ids"]
        return len(ids) - n_images

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """The chat template's text, up to where the answer begins."""
        text: str = self.renderer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, **self.template_kwargs
        )
        return text

    def _image_tokens(self, image: ImageRef, pixel_limits: PixelLimits) -> int:
        if self.image_tokens is None:
            raise ValueError("a prompt with pictures needs the model's image processor")
        return self.image_tokens.count(image, pixel_limits)
