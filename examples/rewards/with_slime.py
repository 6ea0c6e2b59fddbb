"""Score toy responses as slime does, whose name on the registry is a placeholder.

usage: python examples/rewards/with_slime.py

Made up here: slime's ``Sample`` and its arguments, with the fields that it passes. Awaits the
reward for one sample at a time and, as ``--group-rm`` does, for a group. Prints the scores as JSON.
"""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from dataclasses import dataclass, field
from enum import Enum

from toy_rows import TOY_ROWS

from ovr_plugin.adapters.slime import reward


class Status(Enum):
    """Of slime's, the two that matter here."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"


@dataclass
class Sample:
    """The fields of slime's that a reward reads."""

    prompt: str
    response: str
    label: str | None
    metadata: dict = field(default_factory=dict)
    status: Status = Status.COMPLETED


async def score() -> dict:
    """Score one by one and as a group."""
    samples = [
        Sample(
            prompt="?",
            response=row.response,
            label=row.answer,
            metadata=row.facts,
            status=Status.TRUNCATED if row.cut_off else Status.COMPLETED,
        )
        for row in TOY_ROWS
    ]
    plain = Namespace(reward_key=None, eval_reward_key=None)
    keyed = Namespace(reward_key="score", eval_reward_key="score", ovr={"answer_tags": True})
    group = await reward(keyed, samples)
    return {
        "scores": [await reward(plain, sample) for sample in samples],
        "group": [one["score"] for one in group],
        "outcomes": [one["outcome"] for one in group],
    }


def main() -> None:
    """Score and print."""
    print(json.dumps(asyncio.run(score())))


if __name__ == "__main__":
    main()
