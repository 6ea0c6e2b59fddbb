"""The response-length curriculum (OVR 4.1): which limit holds in which iteration.

A schedule is a list of (first iteration, tokens), [[1, 24576], [301, 32768], [701, 49152]] in the
paper's run. Iterations count from 1 and never restart, so that the limit is right after a resume in
any stage. With ``ovr.length_plateau`` the stages begin when the length stops to grow instead
(``plateau_schedule.py``). Validation has a limit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from omegaconf import OmegaConf

KEY = "ovr.length_schedule"


class Schedule(Protocol):
    """What the trainer and the rollout ask of a curriculum."""

    def limit_at(self, iteration: int) -> int:
        """Return the response limit, in tokens, of ``iteration`` (1-based)."""

    def observe(self, iteration: int, mean_length: float) -> None:
        """Take note of the mean response length, in tokens, of an iteration that is done."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of it; empty if nothing."""

    def restore(self, iteration: int, state: Mapping[str, Any]) -> None:
        """Go on after ``iteration`` with what its checkpoint kept."""


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

    def observe(self, iteration: int, mean_length: float) -> None:
        """Nothing: the iteration alone decides."""

    def state(self) -> dict[str, Any]:
        """Nothing, likewise."""
        return {}

    def restore(self, iteration: int, state: Mapping[str, Any]) -> None:
        """Nothing, likewise."""

    @classmethod
    def parse(cls, stages: Any, max_tokens: int, context: int | None = None) -> LengthSchedule:
        """Check ``ovr.length_schedule``.

        Args:
            stages: as configured.
            max_tokens: ``data.max_response_length``, at which veRL cuts.
            context: tokens that the engine has left for a response to the longest prompt.

        Raises:
            ValueError: with every entry that is wrong, not only the first.
        """
        problems = [] if stages else ["it is empty"]
        if isinstance(stages, str) or not isinstance(stages, Sequence):
            problems = [f"{stages!r} is not a list of [first iteration, tokens]"]
            stages = []
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
            elif context is not None and tokens > context:
                problems.append(
                    f"entry {number}, {pair}, exceeds the engine's context: beside the longest "
                    f"prompt, rollout.max_model_len has room for {context} tokens"
                )
            previous = max(previous, first_iteration)
        if problems:
            raise ValueError(
                f"{KEY}: {'; '.join(problems)}. Mend the stages, or set "
                f"{KEY}=null for data.max_response_length throughout."
            )
        return cls(tuple((int(first), int(tokens)) for first, tokens in stages))


def schedule_of(config: Any) -> Schedule:
    """Return the schedule of a trainer config; without one, a single stage of the longest length.

    Raises:
        ValueError: naming what is wrong with ``ovr.length_schedule`` or ``ovr.length_plateau``.
    """
    plateau = _plain(config, "ovr.length_plateau")
    if plateau is not None and _plain(config, KEY) is None:
        raise ValueError(f"ovr.length_plateau needs the lengths of {KEY}, which is null")
    fixed = LengthSchedule(stages_of(config))
    if plateau is None:
        return fixed
    from ovr_plugin.trainer.plateau_schedule import PlateauSchedule

    return PlateauSchedule.parse([tokens for _, tokens in fixed.stages], plateau)


def stages_of(config: Any) -> tuple[tuple[int, int], ...]:
    """Return (first iteration, tokens) of every stage; with a plateau the iterations are a guess.

    Raises:
        ValueError: naming what is wrong with ``ovr.length_schedule``.
    """
    longest = int(config.data.max_response_length)
    stages = _plain(config, KEY)
    return LengthSchedule.parse(
        [[1, longest]] if stages is None else stages, longest, _context(config)
    ).stages


def validation_limit(config: Any) -> int:
    """Return the response limit, in tokens, of validation: no stage of training holds there.

    Raises:
        ValueError: ``ovr.validation_response_length`` is no length, or more than veRL keeps.
    """
    longest = int(config.data.max_response_length)
    limit = _plain(config, "ovr.validation_response_length")
    if limit is None:
        return longest
    if type(limit) is not int or not 0 < limit <= longest:
        raise ValueError(
            f"ovr.validation_response_length={limit!r} must be a number of tokens from 1 to "
            f"data.max_response_length={longest}, or null for all of them"
        )
    return limit


def _plain(config: Any, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _context(config: Any) -> int | None:
    max_model_len = OmegaConf.select(config, "actor_rollout_ref.rollout.max_model_len")
    if max_model_len is None:
        return None  # the model's own, far above
    return int(max_model_len) - int(config.data.max_prompt_length)
