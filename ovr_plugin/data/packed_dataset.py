"""The packed cold start for the SFT trainer's ``data.custom_cls``: one item is one full sequence.

In: a folder that ``ovr pack`` made. Out: packs of up to 64k tokens (OVR 4.1), read from
memory-mapped files, so that a rank holds nothing but the index. Positions start again with every
sample: from that flash-attn, and sdpa on a CPU, know where attention has to stop, and veRL's loss
takes no token across a border, because a sample's first token belongs to its prompt.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from ovr_plugin.data.checked import file_list
from ovr_plugin.data.cold_start_tokens import ColdStartTokens
from ovr_plugin.data.packed_store import PackedSample, PackedStore
from ovr_plugin.data.sft_dataset import check_settings, n_position_rows, positions


class OVRPackedDataset(Dataset):
    """Packs as (input_ids, position_ids, loss_mask).

    Args:
        parquet_files: one folder made by ``ovr pack``, as ``data.train_files``.
        tokenizer: of the model; it must be the one the samples were tokenised with.
        config: veRL's ``data`` section of the SFT trainer.
        processor: of the model; with Qwen2-VL's, positions have four rows (text, t, h, w).
        max_samples: use no more packs than this; -1 for all.

    Raises:
        ValueError: no such folder, another tokenizer or chat template, packs longer than
            ``data.max_length``; all that is wrong is named.
    """

    def __init__(
        self,
        parquet_files: Any,
        tokenizer: Any,
        config: Any = None,
        processor: Any = None,
        max_samples: int = -1,
    ):
        config = config if config is not None else {}
        check_settings(config)
        folders = file_list(parquet_files)
        if len(folders) != 1:
            raise ValueError(f"give one folder made by `ovr pack`, not {len(folders)}")
        self.store = PackedStore(folders[0])
        self.n_position_rows = n_position_rows(processor)
        max_length = self.store.info["max_length"]
        template_kwargs = config.get("apply_chat_template_kwargs")
        tokens = ColdStartTokens(tokenizer, processor, max_length, template_kwargs)
        self.n_end = len(tokenizer(tokens.turn_end, add_special_tokens=False)["input_ids"])
        wrong = []
        if tokens.fingerprint() != self.store.info["tokens"]:
            wrong.append(f"{folders[0]} was made with another tokenizer or chat template")
        if config.get("max_length") is not None and config["max_length"] < max_length:
            wrong.append(
                f"data.max_length is {config['max_length']}, packs hold up to {max_length}"
            )
        if wrong:
            raise ValueError("; ".join(wrong) + ": pack again with `ovr pack`")
        self.n_packs = len(self.store) if max_samples < 0 else min(max_samples, len(self.store))

    def __len__(self) -> int:
        return self.n_packs

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        """One pack.

        Returns:
            ``input_ids`` (L,), ``loss_mask`` (L,) with 1 on responses and their EOS tokens, and
            ``position_ids``, (4, L) for Qwen2-VL models and (L,) for others.
        """
        samples = self.store[item]
        ids = [torch.from_numpy(sample.tokens.astype("int64")) for sample in samples]
        rows = [positions(len(part), self.n_position_rows) for part in ids]
        return {
            "input_ids": torch.cat(ids),
            "position_ids": torch.cat(rows, dim=-1),
            "loss_mask": torch.cat([self._loss_mask(sample) for sample in samples]),
        }

    def _loss_mask(self, sample: PackedSample) -> torch.Tensor:
        mask = torch.zeros(len(sample.tokens), dtype=torch.long)
        # Of what ends a turn only the first token, EOS, is the model's to produce.
        mask[sample.n_prompt : len(mask) - self.n_end + 1] = 1
        return mask
