"""Without packing, a micro-batch is padded to several times the tokens that it was meant to hold.

Versions: veRL 0.9.1. Where: verl/workers/engine/utils.py, ``prepare_micro_batches``. With dynamic
batches it fills micro-batches by real tokens, long rows and short ones evenly among them; without
packing the engine then pads each row to the longest of its micro-batch. One prompt of 100 tokens
among 255 of 40 costs the time and the memory of 256 of 100. Here rows of like length go together,
and ``max_token_len_per_gpu`` bounds what is computed. The sum over rows is the same in any order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed


def apply(transformer_impl: Any) -> None:
    """Rebind ``prepare_micro_batches`` of ``verl.workers.engine.fsdp.transformer_impl``."""
    stock = transformer_impl.prepare_micro_batches
    if getattr(stock, "ovr_fix", False):
        return
    tu = transformer_impl.tu

    def prepare_micro_batches(
        data: Any, dp_group: Any = None, **options: Any
    ) -> tuple[list[Any], list[list[int]] | None]:
        def setting(name: str, default: Any) -> Any:
            return tu.get_non_tensor_data(data=data, key=name, default=default)

        padded = not setting("use_remove_padding", True) and setting("use_dynamic_bsz", True)
        if not padded or setting("force_group_size", 1) > 1:
            return stock(data, dp_group=dp_group, **options)
        lengths = data["input_ids"].offsets().diff().tolist()
        max_tokens = int(data["max_token_len_per_gpu"])
        if max(lengths) > max_tokens:
            return stock(data, dp_group=dp_group, **options)  # which refuses it
        parts = rows_of_like_length(lengths, max_tokens)
        if dp_group is not None and distributed.is_initialized():
            # All ranks take as many steps, or those with more would wait for ever.
            n_parts = torch.tensor(len(parts), device=transformer_impl.get_device_name())
            distributed.all_reduce(n_parts, op=distributed.ReduceOp.MAX, group=dp_group)
            parts = split_into(parts, int(n_parts))
        return [tu.index_select_tensor_dict(data, part) for part in parts], parts

    prepare_micro_batches.ovr_fix = True  # type: ignore[attr-defined]
    transformer_impl.prepare_micro_batches = prepare_micro_batches


def rows_of_like_length(lengths: list[int], max_tokens: int) -> list[list[int]]:
    """Return row numbers in parts, of which none has more than ``max_tokens`` with its padding.

    Args:
        lengths: tokens of each row, none above ``max_tokens``.
        max_tokens: bound of rows x longest row.
    """
    parts: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if parts and (len(parts[-1]) + 1) * lengths[row] <= max_tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def split_into(parts: list[list[int]], n_parts: int) -> list[list[int]]:
    """Return the same rows in ``n_parts`` parts, by halving the largest.

    Raises:
        ValueError: fewer rows than parts.
    """
    n_rows = sum(map(len, parts))
    if n_rows < n_parts:
        raise ValueError(
            f"{n_parts} micro-batches on another rank, {n_rows} rows on this one: "
            "raise max_token_len_per_gpu"
        )
    parts = list(parts)
    while len(parts) < n_parts:
        largest = max(range(len(parts)), key=lambda i: len(parts[i]))
        rows = parts[largest]
        parts[largest : largest + 1] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    return parts
