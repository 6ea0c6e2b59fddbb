"""The curriculum that lengthens "whenever the length plateaus" (OVR 4.1), without fixed iterations.

The rule, ours, since the paper gives the iterations but not how they were found: in every stage let
``now`` be the mean response length over the last ``window`` iterations and ``before`` that of the
``window`` iterations ahead of them. The stage ends once ``now < (1 + min_growth) * before``; the
next length holds from the following iteration on. A stage thus lasts 2 ``window`` iterations at
least, and a length that falls ends it as well. What was observed is kept in every checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

DEFAULTS = {"window": 50, "min_growth": 0.02}  # ours


class PlateauSchedule:
    """Lengths in order; the first holds from iteration 1 on.

    Args:
        lengths: tokens of the stages.
        window: iterations of a mean.
        min_growth: relative growth below which the length has a plateau.
    """

    def __init__(self, lengths: Sequence[int], window: int, min_growth: float) -> None:
        self.lengths = list(lengths)
        self.window = window
        self.min_growth = min_growth
        self.begins = [1]  # first iteration of each stage so far
        self.observed: list[float] = []  # of the stage in force, the last 2 windows

    @classmethod
    def parse(cls, lengths: Sequence[int], plateau: Any) -> PlateauSchedule:
        """Check ``ovr.length_plateau``.

        Raises:
            ValueError: naming all that is wrong with it.
        """
        if not isinstance(plateau, Mapping):
            raise ValueError(
                f"ovr.length_plateau: {plateau!r} is not {{window: iterations, min_growth: share}}"
            )
        settings = {**DEFAULTS, **plateau}
        problems = [f"{key} is not a setting" for key in settings.keys() - DEFAULTS.keys()]
        window, min_growth = settings["window"], settings["min_growth"]
        if type(window) is not int or window < 1:
            problems.append(f"window={window!r} must be a number of iterations")
        is_number = isinstance(min_growth, int | float) and not isinstance(min_growth, bool)
        if not (is_number and math.isfinite(min_growth)):  # with nan no stage would ever end
            problems.append(f"min_growth={min_growth!r} must be a number, as 0.02 for 2 %")
        if sorted(set(lengths)) != list(lengths):
            problems.append(f"the lengths of ovr.length_schedule do not grow: {list(lengths)}")
        if problems:
            raise ValueError(f"ovr.length_plateau: {'; '.join(problems)}")
        return cls(lengths, window, float(min_growth))

    def limit_at(self, iteration: int) -> int:
        """Return the response limit, in tokens, of ``iteration``, as far as stages have begun."""
        stage = sum(iteration >= begin for begin in self.begins)
        return self.lengths[max(stage, 1) - 1]

    def observe(self, iteration: int, mean_length: float) -> None:
        """Take note of an iteration's mean response length; maybe begin the next stage after it."""
        if len(self.begins) == len(self.lengths):
            return
        self.observed = [*self.observed, mean_length][-2 * self.window :]
        if len(self.observed) < 2 * self.window:
            return
        before = fmean(self.observed[: self.window])
        now = fmean(self.observed[self.window :])
        if now < (1 + self.min_growth) * before:
            self.begins.append(iteration + 1)
            self.observed = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the stages so far and what was observed in the last one."""
        stages = [list(pair) for pair in zip(self.begins, self.lengths, strict=False)]
        return {"stages": stages, "observed": self.observed}

    def restore(self, iteration: int, state: Mapping[str, Any]) -> None:
        """Go on after ``iteration`` with what its checkpoint kept.

        Raises:
            ValueError: the checkpoint was saved without a plateau schedule, or with other lengths.
        """
        if not state:
            raise ValueError(
                f"the checkpoint of iteration {iteration} was saved without ovr.length_plateau, so "
                "the stage in force is not known; resume with ovr.length_plateau=null"
            )
        lengths = [tokens for _, tokens in state["stages"]]
        if lengths != self.lengths[: len(lengths)]:
            raise ValueError(
                f"the checkpoint of iteration {iteration} went through lengths {lengths}, which "
                f"ovr.length_schedule does not begin with: {self.lengths}"
            )
        self.begins = [begin for begin, _ in state["stages"]]
        self.observed = [float(length) for length in state["observed"]][-2 * self.window :]
