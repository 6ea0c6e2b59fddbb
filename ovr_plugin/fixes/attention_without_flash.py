"""Sequence packing without flash-attn: what veRL replaces too eagerly is put back.

With ``use_remove_padding`` veRL's ``apply_monkey_patch`` makes Qwen2.5-VL's attention call
flash-attn whatever ``attn_implementation`` says, so that packing needs a GPU. Transformers' own
attention packs with sdpa as well: where the text positions start again at 0, its mask separates the
samples. For Ulysses veRL's attention is needed and stays.
Upstream: verl/models/transformers/monkey_patch.py (0.9.1). It can go when veRL asks for the
implementation before it patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FLASH = "flash_attention"


@contextmanager
def stock_attention_kept(attn_implementation: str, ulysses_size: int) -> Iterator[None]:
    """Undo the patch of the attention that the block makes, unless it is needed.

    Args:
        attn_implementation: of the model that is built in the block, e.g. ``sdpa``.
        ulysses_size: ranks that share a sequence.
    """
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention

    attention: Any = Qwen2_5_VLAttention
    stock = attention.forward
    yield
    if FLASH not in attn_implementation and ulysses_size == 1:
        attention.forward = stock
