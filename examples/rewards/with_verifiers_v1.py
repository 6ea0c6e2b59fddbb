"""Score toy rollouts with a task of verifiers v1, into which reward and metric are plugged.

usage: python examples/rewards/with_verifiers_v1.py

verifiers has to be installed beside the plugin (seen with 0.4.0). Prints the scores as JSON. From a
command the same is ``--env.taskset.task.rewards.ovr.fn ovr_plugin.adapters.verifiers:reward``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import verifiers.v1 as vf
from pydantic import Field
from toy_rows import TOY_ROWS, ToyRow
from verifiers.v1.configs.task import DecoratedFunctionConfig, RewardFunctionConfig
from verifiers.v1.trace import MessageNode

ADAPTER = "ovr_plugin.adapters.verifiers"


class ToyData(vf.TaskData):
    """A taskset's own fields, with the names that the adapter knows."""

    answer: str | None = None
    info: dict[str, Any] = Field(default_factory=dict)


def rollout(row: ToyRow) -> vf.Trace:
    """A finished rollout of one turn."""
    data = ToyData(prompt="?", answer=row.answer, info=row.facts)
    trace = vf.Trace.model_construct(
        task=vf.TraceTask(type="toy", data=data), nodes=[], calls=[], rewards={}, metrics={}
    )
    message = vf.AssistantMessage(content=row.response)
    trace.nodes.append(MessageNode(message=message, sampled=True))
    if row.cut_off:
        trace.stop_condition = "max_output_tokens"
    return trace


async def score(row: ToyRow) -> vf.Trace:
    """Score a rollout of the row."""
    config = vf.TaskConfig(
        rewards={"ovr": RewardFunctionConfig(fn=f"{ADAPTER}:reward")},
        metrics={"ovr_outcome": DecoratedFunctionConfig(fn=f"{ADAPTER}:outcome")},
    )
    trace = rollout(row)
    await vf.Task(trace.task.data, config).score(trace)
    return trace


def main() -> None:
    """Score and print."""
    traces = [asyncio.run(score(row)) for row in TOY_ROWS]
    scores = [trace.reward for trace in traces]
    bad = [trace.metrics["ovr/bad_reference"] for trace in traces]
    print(json.dumps({"scores": scores, "bad_reference": bad}))


if __name__ == "__main__":
    main()
