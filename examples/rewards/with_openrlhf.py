r"""Score toy responses with OpenRLHF: its loader of reward files, its rollout, its length penalty.

usage: python examples/rewards/with_openrlhf.py

OpenRLHF has to be installed beside the plugin (seen with 0.11.2; its own requirements are not
needed for this). Only the engine that generates is made up. Prints the scores as JSON. In a run it
is ``--reward.remote_url $(python -m ovr_plugin.adapters.openrlhf)
--reward.stop_properly_penalty_coef 0``.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from openrlhf.trainer.ppo_utils.length_penalty import apply_length_penalties
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
from openrlhf.utils.agent import SingleTurnAgentExecutor
from toy_rows import TOY_ROWS, ToyRow
from transformers import BatchEncoding

import ovr_plugin.adapters.openrlhf as adapter

PROMPT = "<|im_start|>user\nPut your answer into \\boxed{42}.<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"


class ByteTokenizer:
    """A byte is a token."""

    def __call__(self, text: str, **_kwargs: Any) -> BatchEncoding:
        """Encode one text."""
        return BatchEncoding({"input_ids": [list(text.encode())]}, tensor_type="pt")

    def decode(self, token_ids: list[int], **_kwargs: Any) -> str:
        """Decode one text."""
        return bytes(token_ids).decode()


class ToyEngine:
    """Answers with the row's response, as vLLM would."""

    def __init__(self, row: ToyRow) -> None:
        self.row = row

    async def generate(self, _ids: Any, _params: Any, **_kwargs: Any) -> SimpleNamespace:
        """Return what vLLM returns, as far as OpenRLHF reads it."""
        text = self.row.response + ("" if self.row.cut_off else END)
        output = SimpleNamespace(
            token_ids=list(text.encode()),
            finish_reason="length" if self.row.cut_off else "stop",
            logprobs=None,
        )
        return SimpleNamespace(outputs=[output])


def label(row: ToyRow) -> Any:
    """The column of ``--data.label_key``: the answer, or a record with what is known of it."""
    return json.dumps({"answer": row.answer, **row.facts}) if row.facts else row.answer


async def rollout(executor: SingleTurnAgentExecutor, row: ToyRow) -> dict[str, Any]:
    """Generate and score one response."""
    parameters = SimpleNamespace(max_tokens=512, logprobs=None)
    return await executor.execute(
        PROMPT, label(row), parameters, 2048, ByteTokenizer(), ToyEngine(row)
    )


def main() -> None:
    """Score and print."""
    executor = SingleTurnAgentExecutor(adapter.__file__)
    generator = SamplesGenerator.__new__(SamplesGenerator)  # its engines need GPUs; unused here
    experiences = [
        generator._process_response_into_experience(asyncio.run(rollout(executor, row)))
        for row in TOY_ROWS
    ]
    args = SimpleNamespace(
        reward=SimpleNamespace(overlong_buffer_len=None, stop_properly_penalty_coef=0.0)
    )
    apply_length_penalties(experiences, args)
    print(
        json.dumps(
            {
                "scores": [one.rewards.item() for one in experiences],
                "bad_reference": [one.info["bad_reference"].item() for one in experiences],
            }
        )
    )


if __name__ == "__main__":
    main()
