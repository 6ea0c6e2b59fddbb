"""Score toy responses as EasyR1 does, which does not install from a registry.

usage: python examples/rewards/with_easyr1.py

Made up here: EasyR1 itself. As its `FunctionRewardManager` does, this loads the adapter by its
path, binds ``reward_function_kwargs`` and calls it, once for a batch and once for each response.
Prints the scores as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import partial

from toy_rows import TOY_ROWS, ToyRow

import ovr_plugin.adapters.easyr1 as adapter

LIMIT = 64  # data.max_response_length, in tokens


def reward_input(row: ToyRow) -> dict:
    """What EasyR1 passes: ``ground_truth`` is the column that ``data.answer_key`` names."""
    record = {"answer": row.answer, **row.facts}
    return {
        "response": row.response,
        "response_length": LIMIT if row.cut_off else 12,
        "ground_truth": json.dumps(record) if row.facts else row.answer,
    }


def main() -> None:
    """Score and print."""
    spec = importlib.util.spec_from_file_location("custom_reward_fn", adapter.__file__)
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_reward_fn"] = module
    spec.loader.exec_module(module)
    reward = partial(module.compute_score, max_response_length=LIMIT)
    inputs = [reward_input(row) for row in TOY_ROWS]
    batch, one_by_one = reward(inputs), [reward(each) for each in inputs]
    print(
        json.dumps(
            {
                "type": module.REWARD_TYPE,
                "scores": [score["overall"] for score in batch],
                "sequential": [score["overall"] for score in one_by_one],
                "bad_reference": [score["bad_reference"] for score in batch],
            }
        )
    )


if __name__ == "__main__":
    main()
