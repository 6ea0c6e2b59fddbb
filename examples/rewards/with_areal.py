"""Score toy responses with AReaL: its `AsyncRewardWrapper`, in its worker processes.

usage: python examples/rewards/with_areal.py

AReaL has to be installed beside the plugin (seen with 1.0.4; its own requirements are not needed
for this). Prints the scores as JSON. In a run it is
``reward_fn="ovr_plugin.adapters.areal.reward_fn"`` of a workflow.
"""

from __future__ import annotations

import asyncio
import json

from areal.api.reward_api import AsyncRewardWrapper
from areal.utils.dynamic_import import import_from_string
from toy_rows import TOY_ROWS

from ovr_plugin.adapters.areal import CorrectnessReward

END_ID = 2


async def score() -> list[float]:
    """Score all rows at once, as concurrent episodes do."""
    default = AsyncRewardWrapper(import_from_string("ovr_plugin.adapters.areal.reward_fn"))
    with_end = AsyncRewardWrapper(CorrectnessReward(eos_token_id=END_ID))
    calls = []
    for row in TOY_ROWS:
        wrapper = with_end if row.cut_off else default
        calls.append(
            wrapper(
                "?",
                row.response + ("" if row.cut_off else "<|im_end|>"),
                [1],
                [5] if row.cut_off else [5, END_ID],
                messages=[{"role": "user", "content": "?"}],
                answer=row.answer,
                **row.facts,
            )
        )
    return await asyncio.gather(*calls)


def main() -> None:
    """Score and print."""
    print(json.dumps({"scores": asyncio.run(score())}))


if __name__ == "__main__":
    main()
