"""Score toy rollouts with a legacy rubric of verifiers (0.1 to 0.3).

usage: python examples/rewards/with_verifiers_legacy.py

verifiers has to be installed beside the plugin (seen with 0.3.1). Prints the scores as JSON.
"""

from __future__ import annotations

import asyncio
import json

import verifiers as vf
from toy_rows import TOY_ROWS, ToyRow

from ovr_plugin.adapters.verifiers import RubricReward


def state_of(row: ToyRow) -> vf.State:
    """A rollout's state when it is scored."""
    prompt = [{"role": "user", "content": "?"}]
    return vf.State(
        input={"prompt": prompt, "answer": row.answer, "info": row.facts, "example_id": 0},
        completion=[{"role": "assistant", "content": row.response}],
        trajectory=[],
        is_truncated=row.cut_off,
        task="toy",
        timing=vf.RolloutTiming(),
    )


async def score() -> list[vf.State]:
    """Score the first rows one by one, the others as a group."""
    rubric = vf.Rubric(funcs=[RubricReward()])
    states = [state_of(row) for row in TOY_ROWS]
    for state in states[:5]:
        await rubric.score_rollout(state)
    await rubric.score_group(states[5:])
    return states


def main() -> None:
    """Score and print."""
    states = asyncio.run(score())
    metrics = [state["metrics"]["ovr_correctness"] for state in states]
    print(json.dumps({"scores": [state["reward"] for state in states], "metrics": metrics}))


if __name__ == "__main__":
    main()
