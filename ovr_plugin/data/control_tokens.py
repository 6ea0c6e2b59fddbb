"""Chat templates' own tokens, written out in a text: they would become real ones when tokenised.

A literal ``<|image_pad|>`` in a question shifts all picture features; ``<|im_end|>`` ends the turn.
Curation has no tokenizer and goes by the tokens' shape, which all of Qwen's and DeepSeek's have;
training goes by the very tokens of its tokenizer. So what curation keeps, training takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Bars as in ``<|im_start|>``, and DeepSeek's wide ones. A name of one letter is an absolute value.
SHAPE = re.compile(r"<\|[A-Za-z0-9_]{2,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>")


class ControlTokens:
    """Finds control tokens in texts.

    Args:
        tokenizer: whose special tokens they are; None for whatever has their shape.
    """

    def __init__(self, tokenizer: Any = None):
        special = [] if tokenizer is None else tokenizer.all_special_tokens
        self.tokens = sorted(set(special), key=len, reverse=True)
        exact = re.compile("|".join(map(re.escape, self.tokens)) or r"(?!)")
        self.pattern = SHAPE if tokenizer is None else exact

    def problems(self, texts: Sequence[str]) -> list[str]:
        """One reason for each text that holds one."""
        found = [self.pattern.search(text) for text in texts]
        return [f"control token in the text: {match.group()}" for match in found if match]
