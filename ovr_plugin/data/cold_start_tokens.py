"""A cold-start pair in, its tokens out: the one place that says what is trained on.

The loss is on the response and the token that ends the turn, nothing else: veRL's
MultiTurnSFTDataset also trains on the newline that the template puts after that token, which the
model never has to produce. The response is tokenized by itself, as generation would produce it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ovr_plugin.data.control_tokens import ControlTokens
from ovr_plugin.data.prompt_length import PromptLength, n_bytes
from ovr_plugin.data.sample import ColdStartSample, cold_start_problems


@dataclass(frozen=True)
class Encoded:
    """A pair's tokens: ``n_prompt`` of the prompt, ``n_response`` with loss, and the turn's end."""

    input_ids: list[int]
    n_prompt: int
    n_response: int


class ColdStartTokens:
    """Turns pairs into tokens, for one tokenizer and longest sample.

    Args:
        tokenizer: of the model.
        processor: of the model, or None for a text model.
        max_length: tokens of the longest row that can be used.
        template_kwargs: veRL's ``data.apply_chat_template_kwargs``.
        is_trained: False where rows are only scored: a base model's template, which ends a turn
            with another token than EOS, will do, and the response is followed by EOS.

    Raises:
        ValueError: the chat template does not end the assistant's turn with the EOS token.
    """

    def __init__(
        self,
        tokenizer: Any,
        processor: Any = None,
        max_length: int = 65536,
        template_kwargs: dict[str, Any] | None = None,
        is_trained: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.prompt_length = PromptLength(tokenizer, processor, template_kwargs=template_kwargs)
        self.control_tokens = ControlTokens(tokenizer)
        self.turn_end = self._turn_end(is_trained)

    def encode(self, sample: ColdStartSample) -> Encoded:
        """The tokens of a good row."""
        # One by one: a batch would start the tokenizer's threads before workers are forked.
        prompt, response, end = (self._ids(text) for text in self._texts(sample))
        return _joined(prompt, response, end)

    def encode_many(self, samples: Sequence[ColdStartSample]) -> Iterator[Encoded | str]:
        """For each row its tokens, or in words why it cannot be used; as one batch, in threads."""
        reasons = ["; ".join(self._content_problems(sample)) for sample in samples]
        good = [s for s, reason in zip(samples, reasons, strict=True) if not reason]
        texts = [text for sample in good for text in self._texts(sample)[:2]]
        batch = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        end = self._ids(self.turn_end)
        pairs = iter(zip(batch[::2], batch[1::2], strict=True))
        for reason in reasons:
            if reason:
                yield reason
                continue
            encoded = _joined(*next(pairs), end)
            yield self._too_long(len(encoded.input_ids)) or encoded

    def problems(self, sample: ColdStartSample) -> list[str]:
        """All reasons why a row cannot be used; it is tokenised only if it might be too long."""
        found = self._content_problems(sample)
        if cold_start_problems(sample):
            return found
        bound = self.prompt_length.upper_bound(sample.prompt)
        bound += n_bytes(sample.response) + n_bytes(self.turn_end)
        if bound > self.max_length and (
            reason := self._too_long(len(self.encode(sample).input_ids))
        ):
            found.append(reason)
        return found

    def fingerprint(self) -> str:
        """A digest of everything that tokens depend on beside the rows."""
        probe = [{"role": "user", "content": "question"}]
        # The serialised tokenizer also says how it was last called (padding, truncation).
        parts = [
            repr(sorted(self.tokenizer.get_vocab().items())),
            self.prompt_length.render(probe),
            self.turn_end,
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _content_problems(self, sample: ColdStartSample) -> list[str]:
        found = cold_start_problems(sample)
        if found:
            return found
        return self.control_tokens.problems(sample.texts())

    def _too_long(self, n_tokens: int) -> str:
        if n_tokens <= self.max_length:
            return ""
        return f"row too long: {n_tokens} tokens, max_length is {self.max_length}"

    def _texts(self, sample: ColdStartSample) -> tuple[str, str, str]:
        return self.prompt_length.render(sample.prompt), sample.response, self.turn_end

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _turn_end(self, is_trained: bool) -> str:
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
            if not is_trained:
                return str(self.tokenizer.eos_token)
            raise ValueError(
                "the chat template does not end an assistant turn with the tokenizer's EOS token "
                f"{self.tokenizer.eos_token!r} but with {end[-40:]!r}: the model would never learn "
                "to stop; set the tokenizer's eos_token to the one the template writes"
            )
        return end


def _joined(prompt: list[int], response: list[int], end: list[int]) -> Encoded:
    return Encoded(prompt + response + end, len(prompt), len(response) + 1)
