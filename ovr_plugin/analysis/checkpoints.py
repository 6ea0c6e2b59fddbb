"""The name of a file or folder in, the checkpoint it stands for out: where on the axis of training.

``base``, ``cold_start_900``, ``ppo_300``, or spelled otherwise (``ovr-7b-sft-900``, ``RL 300``).
The stages' own steps both start at 1: a curve over training puts PPO after the cold start (Fig. 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

STAGES = ("base", "cold_start", "ppo")
IN_A_NAME = {"base": "base", "cold_start": "cold_start", "coldstart": "cold_start",
             "sft": "cold_start", "ppo": "ppo", "rl": "ppo"}  # fmt: skip


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A point of training; sorts in its order, those of no stage last."""

    stage_number: int
    step: int  # 0 where the name has none
    name: str

    @classmethod
    def of(cls, name: str, stage: str | None, step: int) -> Checkpoint:
        """One of a known stage, or of none."""
        return cls(STAGES.index(stage) if stage else len(STAGES), step, name)

    @classmethod
    def named(cls, name: str) -> Checkpoint:
        """What a name says of stage and step."""
        return cls.of(name, stage_in(name), max(last_number(name), 0))

    @property
    def stage(self) -> str:
        """base, cold_start, ppo, or empty where nothing tells."""
        return STAGES[self.stage_number] if self.stage_number < len(STAGES) else ""

    @property
    def says_where(self) -> bool:
        """Whether the name tells where in training; an average of several is rightly nowhere."""
        return bool(self.stage) or self.name.startswith("average")

    def position(self, cold_start_steps: int) -> int | None:
        """Steps from the base model on; None for one of no stage."""
        if self.stage == "cold_start":
            return self.step or cold_start_steps  # without a number it is the last one
        return {"base": 0, "ppo": cold_start_steps + self.step}.get(self.stage)


def cold_start_steps(checkpoints: Iterable[Checkpoint], logged: int = 0) -> int:
    """How long the cold start was: as far as it was logged, or a checkpoint of it is known."""
    steps = [each.step for each in checkpoints if each.stage == "cold_start"]
    return max([logged, *steps])


def stage_in(name: str) -> str | None:
    """The stage that a name says, as a word of its own."""
    words = re.findall(r"cold_?start|[a-z]+", name.lower().replace("-", "_").replace(" ", "_"))
    return next((IN_A_NAME[word] for word in words if word in IN_A_NAME), None)


def last_number(name: str) -> int:
    """The last number of a name that is no size of a model (7b), -1 for none."""
    found = re.findall(r"\d+(?![\da-zA-Z])", name)
    return int(found[-1]) if found else -1
