"""Without flash-attn, log-probabilities of packed tokens are computed token by token.

Versions: veRL 0.9.1. Where: verl/utils/torch_functional.py, ``logprobs_from_logits_v2``. It goes
through the first axis one by one, to bound the memory: right for (row, token, word), but the FSDP
engine passes (token, word), so that each token gets kernels and autograd nodes of its own. Here
packed tokens go through it in blocks.
"""

from __future__ import annotations

from typing import Any

import torch

BLOCK = 1024  # tokens; at a vocabulary of 152k 0.6 GB of float32


def apply(torch_functional: Any) -> None:
    """Rebind ``logprobs_from_logits_v2`` of ``verl.utils.torch_functional``."""
    stock = torch_functional.logprobs_from_logits_v2
    if getattr(stock, "ovr_fix", False):
        return

    def logprobs_from_logits_v2(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if logits.dim() != 2:
            return stock(logits, labels)
        blocks = zip(logits.split(BLOCK), labels.split(BLOCK), strict=True)
        return torch.cat([stock(some[None], words[None])[0] for some, words in blocks])

    logprobs_from_logits_v2.ovr_fix = True  # type: ignore[attr-defined]
    torch_functional.logprobs_from_logits_v2 = logprobs_from_logits_v2
