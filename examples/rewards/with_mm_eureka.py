r"""Score toy responses as MM-EUREKA does, which does not install from a registry.

usage: python examples/rewards/with_mm_eureka.py

Made up here: MM-EUREKA itself. Like its experience maker this loads the adapter by its path and
passes padded queries, JSON prompts and labels. It ends every response with an end token, so that
cut-off ones are graded like others. Prints the scores as JSON.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from toy_rows import TOY_ROWS, ToyRow

import ovr_plugin.adapters.mm_eureka as adapter

MESSAGES = [{"role": "user", "content": r"Put your answer into \boxed{42}."}]
HEAD = (
    "<|endoftext|><|endoftext|><|im_start|>user\n<|vision_start|><|image_pad|><|image_pad|>"
    "<|vision_end|>Put your answer into \\boxed{42}.<|im_end|>\n<|im_start|>assistant\n"
)
TAIL = "<|im_end|>" + 3 * "<|endoftext|>"


def label(row: ToyRow) -> Any:
    """The answer, or a record with what is known of it."""
    return json.dumps({"answer": row.answer, **row.facts}) if row.facts else row.answer


def main() -> None:
    """Score and print."""
    spec = importlib.util.spec_from_file_location("reward_func", adapter.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scored = module.reward_func(
        [HEAD + row.response + TAIL for row in TOY_ROWS],
        [json.dumps(MESSAGES) for _ in TOY_ROWS],
        [label(row) for row in TOY_ROWS],
    )
    print(
        json.dumps(
            {
                "scores": scored["rewards"].tolist(),
                "accuracy_rewards": scored["accuracy_rewards"].tolist(),
                "bad_reference": scored["bad_reference"].tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
