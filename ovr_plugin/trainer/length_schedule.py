"""The response-length curriculum (OVR 4.1): which limit holds in which iteration.

A schedule is a list of (first iteration, tokens), [[1, 24576], [301, 32768], [701, 49152]] in the
paper's run. Iterations count from 1 and never restart, so that the limit is right after a resume in
any stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf


@dataclass(frozen=True)
class LengthSchedule:
    """Stages of (first iteration, tokens), in order; made by ``parse``."""

    stages: tuple[tuple[int, int], ...]

    def limit_at(self, iteration: int) -> int:
        """Return the response limit, in tokens, of ``iteration`` (1-based)."""
        limit = self.stages[0][1]
        for first_iteration, tokens in self.stages:
            if iteration >= first_iteration:
                limit = tokens
        return limit

    @classmethod
    def parse(cls, stages: Sequence[Any], max_tokens: int) -> LengthSchedule:
        """Check ``ovr.length_schedule`` against ``data.max_response_length``.

        Raises:
            ValueError: with every entry that is wrong, not only the first.
        """
        problems = [] if stages else ["it is empty"]
        previous = 0
        for number, stage in enumerate(stages, start=1):
            pair = list(stage) if isinstance(stage, Sequence) and not isinstance(stage, str) else []
            if len(pair) != 2 or not all(type(value) is int and value > 0 for value in pair):
                problems.append(f"entry {number}, {stage!r}, is not [first iteration, tokens]")
                continue
            first_iteration, tokens = pair
            if number == 1 and first_iteration != 1:
                problems.append(f"entry 1, {pair}, must start at iteration 1")
            if first_iteration <= previous:
                problems.append(f"entry {number}, {pair}, does not start after the one before it")
            if tokens > max_tokens:
                problems.append(
                    f"entry {number}, {pair}, exceeds data.max_response_length={max_tokens}"
                )
            previous = max(previous, first_iteration)
        if problems:
            raise ValueError(
                f"ovr.length_schedule: {'; '.join(problems)}. Mend the stages, or set "
                "ovr.length_schedule=null for data.max_response_length throughout."
            )
        return cls(tuple((int(first), int(tokens)) for first, tokens in stages))


def schedule_of(config: Any) -> LengthSchedule | None:
    """Return the schedule of a trainer config, checked, or None where it has none."""
    stages = OmegaConf.select(config, "ovr.length_schedule")
    if stages is None:
        return None
    plain: Any = OmegaConf.to_container(stages) if OmegaConf.is_config(stages) else stages
    return LengthSchedule.parse(plain, int(config.data.max_response_length))
