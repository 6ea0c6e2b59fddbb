"""The cold-start dataset for the SFT trainer's ``data.custom_cls``: text pairs in, tokens out.

Text only (OVR 3.1). The loss is on the response and the token that ends the turn, nothing else:
veRL's MultiTurnSFTDataset also trains on the newline that the template puts after that token, which
the model never has to produce. The response is tokenized by itself, as generation would produce it,
and every row is checked at construction, so that no row can stop a run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from ovr_plugin.data.checked import CheckedRows, file_list
from ovr_plugin.data.prompt_length import ControlTokens, PromptLength, n_bytes
from ovr_plugin.data.sample import ColdStartSample, cold_start_problems

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
        _check_settings(config)
        self.tokenizer = tokenizer
        self.max_length = int(config.get("max_length", MAX_LENGTH))
        template_kwargs = config.get("apply_chat_template_kwargs")
        self.prompt_length = PromptLength(tokenizer, processor, template_kwargs=template_kwargs)
        self.control_tokens = ControlTokens(tokenizer)
        self.n_position_rows = 4 if _has_mrope(processor) else 1
        self.turn_end = self._turn_end()
        self.rows = CheckedRows(
            file_list(parquet_files), ColdStartSample, self._problems, config, max_samples
        )

    def _turn_end(self) -> str:
        """What the chat template writes after a response: EOS, and for Qwen a newline."""
        prompt = [{"role": "user", "content": "question"}]
        start = self.prompt_length.render(prompt) + "response"
        length = self.prompt_length
        whole: str = length.renderer.apply_chat_template(
            [*prompt, {"role": "assistant", "content": "response"}],
            tokenize=False,
            **length.template_kwargs,
        )
        end = whole.removeprefix(start)
        if end == whole or not end.startswith(self.tokenizer.eos_token):
            raise ValueError(
                "the chat template does not end an assistant turn with the tokenizer's EOS token "
                f"{self.tokenizer.eos_token!r} but with {end[-40:]!r}: the model would never learn "
                "to stop; set the tokenizer's eos_token to the one the template writes"
            )
        return end

    def _problems(self, sample: ColdStartSample) -> list[str]:
        found = cold_start_problems(sample)
        if found:
            return found
        texts = [message["content"] for message in sample.prompt] + [sample.response]
        found = self.control_tokens.problems(texts)
        bound = self.prompt_length.upper_bound(sample.prompt)
        bound += n_bytes(sample.response) + n_bytes(self.turn_end)
        if bound > self.max_length:
            n_tokens = sum(map(len, self._token_ids(sample)))
            if n_tokens > self.max_length:
                found.append(f"row too long: {n_tokens} tokens, max_length is {self.max_length}")
        return found

    def _token_ids(self, sample: ColdStartSample) -> tuple[list[int], list[int], list[int]]:
        """Tokens of the prompt, of the response, and of what ends the turn."""
        texts = (self.prompt_length.render(sample.prompt), sample.response, self.turn_end)
        # One by one: a batch would start the tokenizer's threads before the workers are forked.
        prompt, response, end = (
            self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
        )
        return prompt, response, end

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        """One row.

        Returns:
            ``input_ids`` (L,), ``loss_mask`` (L,) with 1 on the response and its EOS token, and
            ``position_ids``, (4, L) for Qwen2-VL models and (L,) for others.
        """
        prompt, response, end = self._token_ids(self.rows[item])
        input_ids = torch.tensor(prompt + response + end, dtype=torch.long)
        loss_mask = torch.zeros_like(input_ids)
        loss_mask[len(prompt) : len(prompt) + len(response) + 1] = 1
        position_ids = torch.arange(len(input_ids))
        if self.n_position_rows > 1:
            position_ids = position_ids.repeat(self.n_position_rows, 1)
        return {"input_ids": input_ids, "position_ids": position_ids, "loss_mask": loss_mask}


def _check_settings(config: Any) -> None:
    pad_mode = config.get("pad_mode", "no_padding")
    if pad_mode != "no_padding":
        raise ValueError(f"data.pad_mode is {pad_mode!r}; veRL's engines take only 'no_padding'")
    truncation = config.get("truncation", "error")
    if truncation != "error":
        raise ValueError(
            f"data.truncation is {truncation!r}; a cut response never ends, so rows are not cut: "
            "set it to 'error' and choose with data.bad_rows=raise|report"
        )


def _has_mrope(processor: Any) -> bool:
    image_processor = getattr(processor, "image_processor", None)
    return "Qwen2VLImageProcessor" in type(image_processor).__name__
