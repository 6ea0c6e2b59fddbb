"""The cold-start dataset for the SFT trainer's ``data.custom_cls``: text pairs in, tokens out.

Text only (OVR 3.1); the loss is on the response and its EOS token (`cold_start_tokens`). Every row
is checked at construction, so that no row can stop a run. For small sets: a large one is packed
ahead of time (`packed_dataset`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from ovr_plugin.data.checked import CheckedRows, file_list
from ovr_plugin.data.cold_start_tokens import ColdStartTokens
from ovr_plugin.data.sample import ColdStartSample

# veRL's own default when data.max_length is not set.
MAX_LENGTH = 1024


class OVRColdStartDataset(Dataset):
    """Prompt/response pairs as (input_ids, position_ids, loss_mask).

    Args:
        parquet_files: parquet file or files with `ovr_plugin.data.schema.COLD_START_SCHEMA`.
        tokenizer: of the model.
        config: veRL's ``data`` section of the SFT trainer; also ``bad_rows`` (raise | report).
        processor: of the model; with Qwen2-VL's, positions have four rows (text, t, h, w).
        max_samples: use no more rows than this; -1 for all.

    Raises:
        ValueError: bad rows (policy ``raise``), an unsupported setting, or a chat template that
            does not end the assistant's turn with the tokenizer's EOS token.
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
        self.tokens = ColdStartTokens(
            tokenizer,
            processor,
            int(config.get("max_length", MAX_LENGTH)),
            config.get("apply_chat_template_kwargs"),
        )
        self.n_position_rows = n_position_rows(processor)
        self.rows = CheckedRows(
            file_list(parquet_files), ColdStartSample, self.tokens.problems, config, max_samples
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        """One row.

        Returns:
            ``input_ids`` (L,), ``loss_mask`` (L,) with 1 on the response and its EOS token, and
            ``position_ids``, (4, L) for Qwen2-VL models and (L,) for others.
        """
        encoded = self.tokens.encode(self.rows[item])
        input_ids = torch.tensor(encoded.input_ids, dtype=torch.long)
        loss_mask = torch.zeros_like(input_ids)
        loss_mask[encoded.n_prompt : encoded.n_prompt + encoded.n_response] = 1
        position_ids = positions(len(input_ids), self.n_position_rows)
        return {"input_ids": input_ids, "position_ids": position_ids, "loss_mask": loss_mask}


def positions(n_tokens: int, n_rows: int) -> torch.Tensor:
    """0, 1, ...: (n_tokens,), or (n_rows, n_tokens) for a model with several rows."""
    row = torch.arange(n_tokens)
    return row if n_rows == 1 else row.repeat(n_rows, 1)


def n_position_rows(processor: Any) -> int:
    """4 for Qwen2-VL's processor (text, t, h, w), else 1."""
    image_processor = getattr(processor, "image_processor", None)
    return 4 if "Qwen2VLImageProcessor" in type(image_processor).__name__ else 1


def check_settings(config: Any) -> None:
    """Raise ValueError for settings of ``data`` that an engine or this dataset does not take."""
    pad_mode = config.get("pad_mode", "no_padding")
    if pad_mode != "no_padding":
        raise ValueError(f"data.pad_mode is {pad_mode!r}; veRL's engines take only 'no_padding'")
    truncation = config.get("truncation", "error")
    if truncation != "error":
        raise ValueError(
            f"data.truncation is {truncation!r}; a cut response never ends, so rows are not cut: "
            "set it to 'error' and choose with data.bad_rows=raise|report"
        )
